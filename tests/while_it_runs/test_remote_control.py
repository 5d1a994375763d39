"""A person's action reaches the run in whatever process it works; a lost notification costs a moment only."""

from __future__ import annotations

from typing import Any

import pytest

from app.factory import Server
from app.store.engine import Database
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import in_parallel
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import confirmed, follow_up, steer

ECHO = '[call shell {"cmd": "echo hands"}]'
PROMPT = '[call user_prompt {"message": "Which way?"}]'
DONE = "[then][say done]"


def results(client: LocalClient, session: str) -> list[str]:
    return [m["content"] for m in client.messages(session) if m["role"] == "tool"]


@pytest.fixture(params=["announced", "unannounced"])
def hand(there: LocalClient, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LocalClient:
    """The control, in the second process, over the run that works in the first one."""
    if request.param == "unannounced":
        monkeypatch.setattr(Database, "notify", lambda *_: None)  # on SQLite nothing is announced anyway
    return there


def test_an_approval(here: LocalClient, hand: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, f"{ECHO}{DONE}", agent="tools") as stream:
        stream.until("tool_call_confirmation")
        hand.resume(session, "approve")
        stream.rest()
    assert results(here, session) == ["hands"]


def test_a_rejection_with_its_reason(here: LocalClient, hand: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, f"{ECHO}{DONE}", agent="tools") as stream:
        stream.until("tool_call_confirmation")
        hand.resume(session, "reject", {"reason": "not on a Sunday"})
        stream.rest()
    assert results(here, session) == ["The user rejected the tool call. Reason: not on a Sunday"]


def test_an_answer_to_a_question(here: LocalClient, hand: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, f"{PROMPT}{DONE}", agent="tools") as stream:
        stream.until("elicitation_request")
        hand.elicit(session, "accept", {"way": "uphill"})
        stream.rest()
    assert "uphill" in results(here, session)[0]


def test_a_cancel_while_it_waits(here: LocalClient, hand: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, f"{ECHO}{DONE}", agent="tools") as stream:
        stream.until("tool_call_confirmation")
        hand.stop(session)
        stream.rest()
    assert results(here, session) == ["The tool call was canceled by the user."]


def test_words_for_a_run_at_work(here: LocalClient, hand: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        ids = steer(hand, session, "left") + follow_up(hand, session, "and then right")
        gate.open()
        assert confirmed(stream.rest(), ids) == ids


def test_a_change_of_mind_about_tools_counts_for_the_very_next_call(
    here: LocalClient, hand: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{ECHO}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        hand.call("POST", f"/api/sessions/{session}/tools/toggle")
        gate.open()
        stream.until("tool_call_confirmation")
        hand.resume(session, "approve")
        stream.rest()


def test_new_permissions_count_for_the_very_next_call(
    here: LocalClient, hand: LocalClient, gate: Gate
) -> None:
    session = here.new_session(permissions={"allow": ["shell"]})
    with here.run(session, f"{gate.call}{ECHO}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        denied = {"permissions": {"deny": ["shell:cmd=echo*"]}}
        hand.call("PATCH", f"/api/sessions/{session}/permissions", denied)
        gate.open("well")
        stream.rest()
    assert results(here, session) == ["well", "Tool 'shell' is denied by session permissions."]


def test_of_many_answers_from_both_sides_one_counts_and_the_others_learn_which(
    servers: Servers, here: LocalClient
) -> None:
    session = here.new_session()
    with here.run(session, f"{ECHO}{DONE}", agent="tools") as stream:
        call = stream.until("tool_call_confirmation")["tool_call"]["id"]
        answers = in_parallel([lambda i=i: answer(servers[i % 2], session, call, i) for i in range(8)])
        stream.rest()
    [won] = [i for i, (status, _) in enumerate(answers) if status == 200]
    for i, (status, said) in enumerate(answers):
        if i != won:
            assert (status, said["code"]) == (409, "answered_already"), said
            assert said["reason"] == f"answer {won}"
    assert len(results(here, session)) == 1


def answer(server: Server, session: str, call: str, number: int) -> tuple[int, Any]:
    words = {
        "confirmation": "reject" if number % 3 else "approve",
        "reason": f"answer {number}",
        "call_id": call,
    }
    response = LocalClient(server).ask("POST", f"/api/sessions/{session}/resume", words)
    return response.status_code, response.get_json()


def test_a_run_can_be_watched_from_everywhere_while_it_is_controlled(
    here: LocalClient, there: LocalClient
) -> None:
    session = here.new_session()
    with here.run(session, f"{ECHO}{DONE}", agent="tools") as stream, there.follow(session) as watcher:
        watcher.until("tool_call_confirmation")
        [seen] = there.call("GET", f"/api/runs?session={session}")
        assert (seen["phase"], seen["waiting_for"]["tool"]) == ("waiting", "shell")
        there.resume(session, "approve")
        watcher.until("stream_stopped")
        stream.rest()
    eventually(lambda: here.server.runtime.runs.find(session) is None, "the session is free")
