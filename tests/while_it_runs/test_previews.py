"""The change to a file that a question shows, and what becomes of it when the file changes meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.in_process import LocalClient


def write(path: str, content: str) -> str:
    return f"[call write_file {json.dumps({'path': path, 'content': content})}][then][say done]"


def edit(path: str, old: str, new: str) -> str:
    arguments = {"path": path, "edits": [{"oldText": old, "newText": new}]}
    return f"[call edit_file {json.dumps(arguments)}][then][say done]"


def asked(client: LocalClient, session: str) -> dict[str, Any]:
    return dict(client.call("GET", f"/api/sessions/{session}/question"))


def results(client: LocalClient, session: str) -> list[str]:
    return [m["content"] for m in client.messages(session) if m["role"] == "tool"]


@pytest.mark.parametrize("script", [write("seen.txt", "one\nTWO\n"), edit("seen.txt", "two", "TWO")])
def test_a_question_shows_the_change_to_the_file(
    here: LocalClient, there: LocalClient, directory: Path, script: str
) -> None:
    (directory / "seen.txt").write_text("one\ntwo\n")
    session = here.new_session()
    with here.run(session, script, agent="tools") as stream:
        stream.until("tool_call_confirmation")
        for client in (here, there):
            assert asked(client, session)["preview"] == {
                "path": "seen.txt",
                "change": "change",
                "diff": "@@ -1,2 +1,2 @@\n one\n-two\n+TWO",
                "left_out": 0,
                "problem": "",
            }
        run = here.session(session)["run"]
        assert run["waiting_for"]["preview"] == asked(here, session)["preview"]
        assert here.call("GET", f"/api/runs/{run['id']}")["waiting_for"] == run["waiting_for"]
        [listed] = here.call("GET", f"/api/runs?session={session}")
        assert "preview" not in listed["waiting_for"], "a list is not made longer by what one looks at alone"
        here.resume(session, "approve")
        stream.rest()
    assert (directory / "seen.txt").read_text() == "one\nTWO\n"


def test_a_call_that_writes_no_file_has_none(here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, '[call shell {"cmd": "true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        assert "preview" not in asked(here, session)
        here.stop(session)


@pytest.mark.parametrize("before", ["old\n", None])
def test_a_file_that_has_changed_since_it_was_shown_is_not_overwritten(
    here: LocalClient, there: LocalClient, directory: Path, before: str | None
) -> None:
    file = directory / "contended.txt"
    file.unlink(missing_ok=True)
    if before is not None:
        file.write_text(before)
    session = here.new_session()
    with here.run(session, write("contended.txt", "mine\n"), agent="tools") as stream:
        stream.until("tool_call_confirmation")
        file.write_text("somebody else's\n")
        there.resume(session, "approve")
        stream.rest()
    assert file.read_text() == "somebody else's\n"
    [result] = results(here, session)
    assert result.startswith("contended.txt has changed since the user was shown what this call would do")


def test_changed_arguments_for_another_file_are_not_held_against_the_first(
    here: LocalClient, directory: Path
) -> None:
    (directory / "first.txt").write_text("a\n")
    session = here.new_session()
    with here.run(session, write("first.txt", "b\n"), agent="tools") as stream:
        call = stream.until("tool_call_confirmation")["tool_call"]["id"]
        (directory / "first.txt").write_text("c\n")
        arguments = {"path": "second.txt", "content": "b\n"}
        here.resume(session, "approve", {"call_id": call, "arguments": arguments})
        stream.rest()
    assert (directory / "second.txt").read_text() == "b\n"


def test_a_file_that_the_agent_may_not_read_is_not_shown(here: LocalClient, directory: Path) -> None:
    (directory / "private.txt").write_text("a secret\n")
    session = here.new_session(permissions={"deny": ["read_file:path=private*"]})
    with here.run(session, write("private.txt", "b\n"), agent="tools") as stream:
        stream.until("tool_call_confirmation")
        preview = asked(here, session)["preview"]
        assert "a secret" not in json.dumps(preview)
        assert preview["problem"] == "the agent may not read this file, so its content is not shown"
        here.stop(session)
