"""A session holds only so many bytes: what would go beyond is refused, and the conversation stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import at_rest, call_text, of_type, roles

LIMIT = 5_000


@pytest.fixture
def local(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[LocalClient]:
    built = build(make_settings(tmp_path, model.url, session_bytes=LIMIT, database_url=database_url))
    yield LocalClient(built)
    built.close()


def test_a_run_ends_between_two_turns_when_its_session_is_full(
    local: LocalClient, model: OfflineServer, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("x" * LIMIT)
    session = local.new_session()
    read = call_text("read_file", path="long.txt") + call_text("think", thought="é")
    events = local.say(session, f"{read}[then][say never]", agent="tools")
    [error] = of_type(events, "error")
    assert error["code"] == "session_full"
    assert "of at most 5,000: begin a new one, or fork this one" in error["error"]
    assert roles(at_rest(local, session)) == ["user", "assistant", "tool", "tool"]
    assert len(model.requests) == 1
    before = local.session(session)
    refused = local.try_run(session, "[say hello]", agent="tools")
    assert (refused.status_code, refused.json["code"]) == (413, "session_full")  # type: ignore[index]
    assert local.session(session) == before, "what is refused leaves no trace"


def test_a_full_session_that_was_made_smaller_goes_on(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    assert of_type(local.say(session, "x" * LIMIT), "error")[0]["code"] == "session_full"
    assert local.try_run(session, "more").status_code == 413
    message = {"role": "user", "content": "short"}
    local.call("PATCH", f"/api/sessions/{session}/messages/0", {"message": message})
    assert of_type(local.say(session, "[say hello]"), "error") == []


def test_messages_without_a_run_are_counted_too(local: LocalClient) -> None:
    session = local.new_session()
    path, long = f"/api/sessions/{session}/messages", {"role": "user", "content": "é" * (LIMIT // 2)}
    assert local.call("POST", path, {"message": long}, expect=413)["code"] == "session_full"
    local.call("POST", path, {"message": {"role": "user", "content": "short"}}, expect=201)
    assert local.call("PATCH", f"{path}/0", {"message": long}, expect=413)["code"] == "session_full"
    assert [message["content"] for message in at_rest(local, session)] == ["short"]
