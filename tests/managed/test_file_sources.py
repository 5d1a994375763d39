"""Messages and results of tools that name files, through the official SDK."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.files import file_sources
from tests.agent.tools.pictures import drawn
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, WEATHER, last_stop, listed
from tests.managed.test_files import NOWHERE
from tests.managed.test_sessions import until_idle

PDF = b"%PDF-1.4\n%%EOF"
PNG = drawn(4, 4)


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


def block(kind: str, file_id: str, **more: Any) -> Any:
    return {"type": kind, "source": {"type": "file", "file_id": file_id}, **more}


def upload(sdk: Sdk, data: bytes, name: str = "a.bin") -> str:
    return sdk.files.upload(file=(name, data)).id


def new_session(sdk: Sdk, *blocks: Any) -> str:
    agent = sdk.beta.agents.create(name="Custom", model="claude-sonnet-5-5", tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")
    first: list[Any] = [{"type": "user.message", "content": list(blocks)}] if blocks else []
    return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id, initial_events=first).id


def test_a_message_shows_the_model_what_its_files_hold(server: Server, model: OfflineServer) -> None:
    with Sdk(server, "anything") as sdk:
        files = [upload(sdk, PNG), upload(sdk, PDF), upload(sdk, b"\xef\xbb\xbfHello", "a.txt")]
        blocks = [
            block("image", files[0]),
            block("document", files[1], title="T"),
            block("document", files[2], context="C"),
        ]
        session = new_session(sdk, *blocks, {"type": "text", "text": "[say Done.]"})
        for file in files:
            sdk.files.delete(file)  # what was received stays
        until_idle(sdk, session)
        [told] = listed(sdk, session, "user.message")
        sdk.checked(sdk.beta.sessions.events.list(session))
        assert told.model_dump(mode="json", exclude_none=True)["content"][:3] == blocks
        shown = model.requests[-1]["messages"][0]["content"]
        assert shown[0]["source"] == {
            "type": "base64",
            "media_type": "image/png",
            "data": base64.b64encode(PNG).decode(),
        }
        assert shown[1]["source"]["data"] == base64.b64encode(PDF).decode()
        assert shown[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "Hello"}
        assert (shown[1]["title"], shown[2]["context"]) == ("T", "C")
        again = upload(sdk, b"Hello again", "b.md")
        sent = sdk.beta.sessions.events.send(
            session,
            events=[
                {
                    "type": "user.message",
                    "content": [block("document", again), {"type": "text", "text": "[say Done.]"}],
                }
            ],
        )
        assert sdk.checked(sent).data is not None
        assert sdk.sent["data"][0]["content"][0]["source"] == {"type": "file", "file_id": again}
        until_idle(sdk, session, times=2)
        assert "Hello again" in str(model.requests[-1]["messages"])


def test_a_result_of_a_tool_shows_the_model_what_its_files_hold(server: Server, model: OfflineServer) -> None:
    with Sdk(server, "anything") as sdk:
        session = new_session(sdk, {"type": "text", "text": f"{CALL}[then][say Done.]"})
        until_idle(sdk, session)
        [use] = last_stop(sdk, session)
        blocks = [block("image", upload(sdk, PNG)), block("document", upload(sdk, b"It rains.", "a.txt"))]
        sent = {"type": "user.custom_tool_result", "custom_tool_use_id": use, "content": blocks}
        sdk.checked(sdk.beta.sessions.events.send(session, events=[sent]))  # type: ignore[list-item]
        assert sdk.sent["data"][0]["content"] == blocks
        until_idle(sdk, session, times=2)
        [told] = listed(sdk, session, "user.custom_tool_result")
        sdk.checked(sdk.beta.sessions.events.list(session))
        assert told.model_dump(mode="json", exclude_none=True)["content"] == blocks
        shown = str(model.requests[-1]["messages"][-1]["content"])
        assert base64.b64encode(PNG).decode() in shown
        assert "It rains." in shown


def test_files_that_show_nothing_are_refused(
    sdk: Sdk, laptop: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = new_session(sdk)
    text, png = upload(sdk, b"text", "a.txt"), upload(sdk, PNG)
    table: list[tuple[Any, str]] = [
        (block("image", text), "content[0].source.file_id: the file is no PNG"),
        (block("image", upload(sdk, PNG[:20])), "content[0].source.file_id"),
        (block("document", png), "content[0].source.file_id: the file is neither a PDF nor text"),
        (block("document", upload(sdk, b"")), "neither a PDF nor text"),
        (block("document", upload(sdk, b"a\0b")), "neither a PDF nor text"),
        (block("document", upload(sdk, b"%PDF-1.4 cut")), "no whole PDF"),
        (block("image", "file_1"), "Invalid file ID."),
        (block("image", ""), "content[0].source.file_id"),
        ({"type": "image", "source": {"type": "file"}}, "content[0].source.file_id: field is required"),
        ({"type": "image", "source": {"type": "file", "file_id": text, "x": 1}}, "unknown field"),
    ]
    before = len(listed(sdk, session))
    for bad, words in table:
        for event in (
            {"type": "user.message", "content": [bad]},
            {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_x", "content": [bad]},
        ):
            with pytest.raises(anthropic.BadRequestError):
                sdk.beta.sessions.events.send(session, events=[event])  # type: ignore[list-item]
            assert words in sdk.sent["error"]["message"], (bad, sdk.sent)
    with pytest.raises(anthropic.BadRequestError, match=r"initial_events\[0\].content\[0\].source.file_id"):
        new_session(sdk, block("image", text))
    with pytest.raises(anthropic.NotFoundError, match="File not found"):
        new_session(sdk, block("image", NOWHERE))
    many: Any = [{"type": "user.message", "content": [block("document", text)] * 101}]
    with pytest.raises(anthropic.BadRequestError, match="at most 100 files"):
        sdk.beta.sessions.events.send(session, events=many)
    monkeypatch.setattr(file_sources, "MOST_BYTES", 7)
    with pytest.raises(anthropic.BadRequestError, match="7 bytes together"):
        new_session(sdk, block("document", text), block("document", text))
    assert len(listed(sdk, session)) == before


def test_a_file_of_somebody_else_is_not_there(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        file = upload(ann, b"secret", "a.txt")
        with pytest.raises(anthropic.NotFoundError, match="File not found"):
            new_session(ben, block("document", file))
