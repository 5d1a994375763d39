"""Pictures, by every way in: made as small as the API wants them, a remark if they are damaged; and sessions that hold
what the API refuses by now."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import picture_admission
from app.factory import build
from tests.agent.tools.pictures import data_uri, drawn, size_of
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient, LocalStream
from tests.test_sequences import at_rest, call_text, of_type

CUT = {
    "image/png": drawn(300, 300)[:-200],
    "image/jpeg": drawn(300, 300, "JPEG")[:-2000],
    "image/gif": drawn(300, 300, "GIF")[:-200],
    "image/webp": drawn(300, 300, "WEBP")[:-200],
}


def picture(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_uri(data, media_type)}}


def said(text: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "multi_content": [{"type": "text", "text": text}, *parts]}


def say(
    local: LocalClient, session: str, *messages: dict[str, Any], agent: str = "plain"
) -> list[dict[str, Any]]:
    response = local.open(f"/api/sessions/{session}/agent/{agent}", list(messages), {})
    assert response.status_code == 200, response.get_data(as_text=True)
    return LocalStream(response).rest()


def shown(stand_in: OfflineServer) -> list[dict[str, Any]]:
    """The blocks that the model was shown last, those in results among them, in order."""
    blocks = []
    for message in stand_in.requests[-1]["messages"]:
        for block in message["content"]:
            inner = block.get("content")
            blocks += inner if isinstance(inner, list) else [block]
    return blocks


def sizes(stand_in: OfflineServer) -> list[tuple[int, int]]:
    return [size_of(block["source"]["data"]) for block in shown(stand_in) if block["type"] == "image"]


def remarks(stand_in: OfflineServer) -> list[str]:
    return [
        line
        for block in shown(stand_in)
        for line in str(block.get("text", block.get("content", ""))).split("\n")
        if line.startswith("[a picture")
    ]


def test_many_large_pictures_in_one_message_are_scaled_down(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    parts = [picture(drawn(2001, 20)), picture(drawn(20, 4000, "JPEG"), "image/jpeg")] * 10 + [
        picture(drawn(9, 9))
    ]
    events = say(local, session, said("[say seen]", *parts))
    assert of_type(events, "error") == []
    assert sizes(model) == [(2000, 20), (10, 2000)] * 10 + [(9, 9)]
    assert of_type(local.say(session, "[say again]"), "error") == []


def test_large_pictures_of_many_messages_never_kill_a_session(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    for _ in range(22):
        assert of_type(say(local, session, said("[say seen]", picture(drawn(2001, 20)))), "error") == []
    assert len(sizes(model)) == 22


@pytest.mark.parametrize("media_type", CUT)
def test_a_damaged_picture_of_the_user_becomes_a_remark(
    local: LocalClient, model: OfflineServer, media_type: str
) -> None:
    session = local.new_session()
    assert (
        of_type(say(local, session, said("[say seen]", picture(CUT[media_type], media_type))), "error") == []
    )
    assert remarks(model) == [f"[a picture that is damaged ({media_type} that can't be decoded)]"]
    assert sizes(model) == []


def test_a_message_holds_only_so_many_pictures(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    say(local, session, said("[say seen]", *[picture(drawn(9, 9))] * 42))
    assert len(sizes(model)) == picture_admission.MOST
    assert remarks(model) == ["[a picture that is left out: there are more than 40]"] * 2


def test_every_way_in_decodes(local: LocalClient, model: OfflineServer) -> None:
    """Messages without a run, edited ones, imported ones, and what waits in the queue."""
    cut, large = picture(CUT["image/png"]), picture(drawn(2400, 24))
    session = local.new_session()
    here = f"/api/sessions/{session}"
    local.call("POST", f"{here}/messages", {"message": said("first", cut, large)}, expect=201)
    local.call("POST", f"{here}/messages", {"message": said("second")}, expect=201)
    local.call("PATCH", f"{here}/messages/1", {"message": said("changed", large, cut)})
    local.call("POST", f"{here}/followup", {"messages": [said("[say third]", cut, large)]}, expect=202)
    local.say(session, "[say seen]")
    assert sizes(model) == [(2000, 20)] * 3
    assert len(remarks(model)) == 3
    result = {"role": "tool", "tool_call_id": "a", "multi_content": [cut, large]}
    call = {"id": "a", "function": {"name": "look", "arguments": "{}"}}
    rows = [said("look", cut, large), {"role": "assistant", "tool_calls": [call]}, result]
    imported = local.call("POST", "/api/sessions/import", {"messages": [{"message": row} for row in rows]})[
        "id"
    ]
    local.say(imported, "[say seen]")
    assert sizes(model) == [(2000, 20)] * 2
    assert len(remarks(model)) == 2


def test_pictures_in_files_are_seen_or_refused_in_words(
    local: LocalClient, model: OfflineServer, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(drawn(4000, 400))
    (tmp_path / "photo.jpg").write_bytes(drawn(300, 300, "JPEG"))
    (tmp_path / "moves.gif").write_bytes(drawn(30, 30, "GIF", frames=5))
    (tmp_path / "cut.png").write_bytes(CUT["image/png"])
    names = ("large.png", "photo.jpg", "moves.gif", "cut.png")
    session = local.new_session()
    calls = "".join(call_text("read_file", path=name) for name in names)
    events = local.say(session, f"{calls}[then][say done]", agent="tools")
    assert of_type(events, "error") == []
    assert sizes(model) == [(2000, 200), (300, 300), (30, 30)]
    said_of_cut = of_type(events, "tool_call_response")[3]["response"]
    assert said_of_cut == "Error: Image file is damaged (image/png that can't be decoded)"
    [photo] = [block for block in shown(model) if block.get("source", {}).get("media_type") == "image/jpeg"]
    assert base64.b64decode(photo["source"]["data"]) == drawn(300, 300, "JPEG"), "what fits stays as it is"
    at_rest(local, session)


# ---- sessions from before


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """While it lasts pictures come in as they did in an older version."""
    with monkeypatch.context() as patch:
        patch.setattr(picture_admission, "_decoded", lambda _data: None)
        yield patch


def test_large_pictures_from_before_are_left_out_once_they_are_too_many(
    local: LocalClient, model: OfflineServer, old: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    local.call("POST", f"/api/sessions/{session}/thinking/toggle")
    for number in range(20):
        say(local, session, said("[think][say seen]", picture(drawn(2001 if number < 3 else 100, 20))))
    old.undo()
    before = len(model.requests)
    events = say(local, session, said("[think][say on]", picture(drawn(50, 20))))
    assert of_type(events, "error") == []
    [warning] = of_type(events, "warning")
    assert "The pictures of 3 messages are not shown to the model any more" in warning["message"]
    assert len(model.requests) == before + 1
    assert remarks(model) == ["[a picture that is not shown any more]"] * 3
    assert sizes(model) == [(100, 20)] * 17 + [(50, 20)]
    first = model.requests[-1]["messages"]
    events = local.say(session, "[think][say more]")
    assert of_type(events, "warning") == of_type(events, "error") == []
    second = model.requests[-1]["messages"]
    assert [m["role"] for m in second[: len(first)]] == [m["role"] for m in first]
    assert without_marks(second[: len(first)]) == without_marks(first), "what was sent stays what it was"
    assert any(block["type"] == "thinking" for block in second[-2]["content"])
    pictured = [message for message in at_rest(local, session) if message.get("multi_content")]
    assert len(pictured) == 21, "nothing is lost"


def without_marks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in block.items() if key != "cache_control"}
        for message in messages
        for block in message["content"]
    ]


def test_a_message_from_before_that_never_got_an_answer_gets_one(
    local: LocalClient, model: OfflineServer, old: pytest.MonkeyPatch
) -> None:
    session = local.new_session()
    message = said("[say seen]", *[picture(drawn(2001, 20))] * 21)
    local.call("POST", f"/api/sessions/{session}/messages", {"message": message}, expect=201)
    old.undo()
    events = local.say(session, "[say on]")
    assert of_type(events, "error") == []
    assert len(remarks(model)) == 21


def test_a_picture_that_the_api_refuses_is_left_out_and_the_call_repeated_once(
    tmp_path: Path, old: pytest.MonkeyPatch
) -> None:
    with OfflineServer() as stand_in:
        built = build(make_settings(tmp_path, stand_in.url))
        local = LocalClient(built)
        session = local.new_session()
        say(local, session, said("[say seen]", picture(drawn(9, 9))))
        events = say(local, session, said("[say on]", picture(CUT["image/png"])))
        assert of_type(events, "error") == []
        [warning] = of_type(events, "warning")
        assert "1 messages are not shown" in warning["message"]
        assert len(stand_in.requests) == 3
        assert (sizes(stand_in), len(remarks(stand_in))) == ([(9, 9)], 1)
        again = build(make_settings(tmp_path, stand_in.url))
        assert of_type(LocalClient(again).say(session, "[say more]"), "error") == []
        again.close()
        assert len(stand_in.requests) == 4
        built.close()
