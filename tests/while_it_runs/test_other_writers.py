"""F11: nothing that others write to a session while a run is between a call and its result gets between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import body

WRITERS: list[tuple[str, str, Any, int]] = [
    ("POST", "agent/tools", body("me too"), 409),
    ("POST", "agent/tools?when_busy=queue", body("[say queued]"), 202),
    ("POST", "steer", body("[say steered]"), 202),
    ("POST", "followup", body("[say followed]"), 202),
    ("POST", "messages", {"message": {"role": "user", "content": "me too"}}, 409),
    ("PATCH", "messages/0", {"message": {"role": "user", "content": "something else"}}, 409),
    ("POST", "summaries", {"summary": "They said hello."}, 409),
    ("POST", "undo", {}, 409),
    ("PATCH", "title", {"title": "another title"}, 200),
    ("PATCH", "starred", {"starred": True}, 200),
    ("PATCH", "tokens", {"input_tokens": 1, "output_tokens": 2}, 200),
    ("POST", "fork", {"user_message_index": 0}, 200),
    ("PATCH", "permissions", {"permissions": {"deny": ["fetch"]}}, 200),
    ("POST", "thinking/toggle", None, 200),
    ("POST", "resume", {"confirmation": "approve"}, 409),
    ("POST", "elicitation", {"action": "accept"}, 409),
]


@pytest.mark.parametrize(("method", "path", "sent", "expect"), WRITERS)
def test_f11_another_writer_is_refused_or_comes_after_the_result(
    local: LocalClient, make_gate: Callable[[], Gate], method: str, path: str, sent: Any, expect: int
) -> None:
    gate = make_gate()
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        local.call(method, f"/api/sessions/{session}/{path}", sent, expect=expect)
        between = [message["role"] for message in local.messages(session)]
        gate.open("the result")
        stream.rest()
    assert between == ["user", "assistant"]
    assert [message["role"] for message in local.messages(session)][:3] == ["user", "assistant", "tool"]
    assert local.messages(session)[2]["content"] == "the result"
    local.say(session, "[say still fine]", agent="tools")  # the stand-in judges all of it


def test_f11_a_session_that_is_deleted_between_a_call_and_its_result_stays_deleted(
    local: LocalClient, make_gate: Callable[[], Gate]
) -> None:
    gate = make_gate()
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        local.call("DELETE", f"/api/sessions/{session}")
        stream.rest()
    local.call("GET", f"/api/sessions/{session}", expect=404)
