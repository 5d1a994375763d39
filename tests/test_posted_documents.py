"""Documents in posted messages: what the model is shown of them, and what clients read back."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.agent.tools.pictures import drawn
from tests.harness.in_process import LocalClient
from tests.test_pictures import said, say, shown

PDF: Final = base64.b64encode(b"%PDF-1.4\n%%EOF").decode()
LOCKED: Final = base64.b64encode(b"%PDF-1.4\n/Encrypt\n%%EOF").decode()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def document(mime_type: str, name: str = "a file", **source: str) -> dict[str, Any]:
    return {"type": "document", "document": {"name": name, "mime_type": mime_type, "source": source}}


TAKEN: Final = {
    "a PDF": (
        document("application/pdf", "report.pdf", inline_data=PDF),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "report.pdf",
        },
    ),
    "a text": (
        document("text/csv", "a.csv", inline_text="1,2"),
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "1,2"},
            "title": "a.csv",
        },
    ),
    "a text as data, with no name": (
        document("application/json", "", inline_data=base64_of('{"ä": 1}'.encode())),
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": '{"ä": 1}'},
        },
    ),
}


@pytest.mark.parametrize(("part", "block"), TAKEN.values(), ids=TAKEN)
def test_a_document_is_shown_to_the_model_and_read_back_as_it_can_be_sent(
    local: LocalClient, model: OfflineServer, part: dict[str, Any], block: dict[str, Any]
) -> None:
    session = local.new_session()
    (told,) = [one for one in say(local, session, said("[say seen]", part)) if one["type"] == "user_message"]
    assert {key: shown(model)[1][key] for key in block} == block
    words, read = local.messages(session)[0]["multi_content"]
    assert (words["type"], read["type"]) == ("text", "document")
    assert told["multi_content"] == [words, read]
    say(local, local.new_session(), said("[say seen]", read))
    assert {key: shown(model)[1][key] for key in block} == block


def test_a_picture_may_come_as_a_document(local: LocalClient, model: OfflineServer) -> None:
    say(
        local,
        local.new_session(),
        said("[say seen]", document("image/png", "a.png", inline_data=base64_of(drawn(4, 4)))),
    )
    assert (shown(model)[1]["type"], shown(model)[1]["source"]["media_type"]) == ("image", "image/png")


REFUSED: Final = {
    "no source": document("application/pdf"),
    "an address": document("application/pdf", url="https://a.example/b.pdf"),
    "no PDF": document("application/pdf", inline_data=base64_of(b"text")),
    "half a PDF": document("application/pdf", inline_data=base64_of(b"%PDF-1.4")),
    "a PDF with a password": document("application/pdf", inline_data=LOCKED),
    "no base64": document("application/pdf", inline_data="@@@"),
    "sound": document("audio/wav", inline_data=base64_of(b"RIFF\0\xff")),
    "an empty text": document("text/plain", inline_text=" \n"),
    "empty data": document("text/plain", inline_data=""),
    "a picture that is none": document("image/png", inline_data=base64_of(b"text")),
    "no document": {"type": "document"},
    "a document of null": {"type": "document", "document": None},
    "a list": {"type": "document", "document": []},
    "a source of text": {"type": "document", "document": {"mime_type": "text/plain", "source": "x"}},
    "no type": {"type": "document", "document": {"source": {"inline_text": "x"}}},
    "a number for a type": {"type": "document", "document": {"mime_type": 1, "source": {"inline_text": "x"}}},
}


@pytest.mark.parametrize("part", REFUSED.values(), ids=REFUSED)
def test_a_document_that_the_api_would_refuse_for_ever_is_refused_once(
    local: LocalClient, part: dict[str, Any]
) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/agent/plain", [said("[say seen]", part)], expect=422)
    assert local.messages(session) == []
