"""Retries, compactions, pauses, undos and copies of one session, one upon the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import summarizer
from tests.agent.tools.pictures import data_uri, drawn
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.while_it_runs.talk import follow_up, roles, said_by_user, steer
from tests.while_it_runs.test_compact import compact, last_event, run_once_ended, talked, told
from tests.while_it_runs.test_pause import let_go, pause, paused_in_a_turn, status

FAILS_ONCE = "[fail 400 1][say better now]"
DONE = "[then][say done]"


def retry(client: LocalClient, session: str, *, expect: int = 202) -> Any:
    return client.call("POST", f"/api/sessions/{session}/retry", expect=expect)


def retried(client: LocalClient, session: str) -> dict[str, Any]:
    """The run, once it has ended."""
    return run_once_ended(client, session, retry(client, session)["turn_id"])


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summarizer, "ASSIGNMENT", "[say the summary]")


def test_a_paused_run_is_no_failed_turn(here: LocalClient, there: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools", query="?on_disconnect=continue") as stream:
        run = paused_in_a_turn(here, session, gate, stream)
        for client in (here, there):
            for route in ("retry", "compact", "branches", "undo"):
                refused = client.call("POST", f"/api/sessions/{session}/{route}", {}, expect=409)
                assert (refused["code"], refused["run"]["id"]) == ("session_busy", run["id"]), route
        copy = there.call("POST", f"/api/sessions/{session}/fork", {})["id"]
        let_go(here, session)
        assert retry(there, session, expect=409)["code"] == "session_busy"
        assert pause(there, session) is False
        assert run_once_ended(here, session, run["id"])["status"] == "finished"
    assert roles(here, copy) == ["user", "assistant", "tool"]
    here.say(copy, "[say on its own]", agent="tools")
    assert retry(here, copy, expect=409)["code"] == "nothing_to_retry"


@pytest.mark.usefixtures("summary")
def test_what_nobody_answered_is_retried_after_a_compaction(here: LocalClient, model: OfflineServer) -> None:
    session = talked(here)
    here.say(session, FAILS_ONCE)
    since = last_event(here, session)
    assert run_once_ended(here, session, compact(here, session))["status"] == "finished"
    assert [e["outcome"] for e in told(here, session, since) if e.get("status") == "completed"] == ["applied"]
    ends = [
        retried(here, session)["status"] for _ in range(2)
    ]  # to the stand-in it is a new conversation now
    assert ends == ["failed", "finished"]
    asked = model.requests[-1]["messages"]
    assert "the summary" in str(asked)
    assert FAILS_ONCE in str(asked[-1])
    assert here.messages(session)[-1]["content"] == "better now"


@pytest.mark.usefixtures("summary")
def test_an_undo_takes_a_summary_back_that_was_made_of_what_is_gone(
    here: LocalClient, model: OfflineServer
) -> None:
    session = talked(here)
    assert run_once_ended(here, session, compact(here, session))["status"] == "finished"
    here.call("POST", f"/api/sessions/{session}/undo", {"user_message_index": 1})
    here.say(session, "[say anew]")
    asked = str(model.requests[-1]["messages"])
    assert "the summary" not in asked
    assert "[say one]" in asked
    assert "[say two]" not in asked


@pytest.mark.usefixtures("summary")
def test_a_copy_is_summed_up_by_the_agent_that_it_was_given_to(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = talked(here)
    copy = here.call("POST", f"/api/sessions/{session}/branches", {}, expect=201)["session"]["id"]
    run = run_once_ended(there, copy, compact(there, copy))
    assert (run["status"], run["agent"]) == ("finished", "plain/root")
    for asked, is_short in ((copy, True), (session, False)):
        here.say(asked, "[say and on]")
        assert ("the summary" in str(model.requests[-1]["messages"])) is is_short


@pytest.mark.usefixtures("summary")
def test_pictures_are_summed_up_with_what_was_said_about_them(
    here: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    picture = {"type": "image_url", "image_url": {"url": data_uri(drawn(30, 30, "PNG"), "image/png")}}
    message = {"role": "user", "multi_content": [{"type": "text", "text": "[say seen]"}, picture]}
    with LocalStream(here.open(f"/api/sessions/{session}/agent/plain", [message], {})) as stream:
        stream.rest()
    here.say(session, "[say two]")
    assert run_once_ended(here, session, compact(here, session))["status"] == "finished"
    here.say(session, "[say three]")
    shown = str(model.requests[-1]["messages"])
    assert "the summary" in shown
    assert "base64" not in shown
    assert "image_url" in str(here.session(session)["messages"][0])


@pytest.mark.usefixtures("summary")
def test_a_compaction_leaves_a_pause_for_the_next_run(here: LocalClient, there: LocalClient) -> None:
    session = talked(here)
    assert pause(there, session)
    assert run_once_ended(here, session, compact(here, session))["status"] == "finished"
    assert status(here, session) == {"streaming": False, "pause_armed": True, "paused": False}
    with here.run(session, "[say hello]") as stream:
        stream.until("runtime_paused")
        assert pause(there, session) is False
        stream.rest()


def test_a_retry_is_paused_as_any_run(here: LocalClient, there: LocalClient, model: OfflineServer) -> None:
    session = here.new_session()
    here.say(session, FAILS_ONCE)
    since, asked = last_event(here, session), len(model.requests)
    assert pause(there, session)
    run = retry(here, session)["turn_id"]
    with here.follow(session, since=since) as stream:
        stream.until("runtime_paused")
        assert len(model.requests) == asked
        here.stop(session)
        stream.until("stream_stopped")
    assert run_once_ended(there, session, run)["status"] == "cancelled"
    assert retried(there, session)["status"] == "finished", "the pause went with its run"
    assert roles(here, session) == ["user", "assistant"]


def test_a_retry_goes_by_the_policy_of_its_own_time(here: LocalClient, there: LocalClient) -> None:
    for policy, kind in (("strict", "tool_call_confirmation"), ("autonomous", "")):
        session = here.new_session(safety_policy="restricted")
        text = f'[fail 400 1][call shell {{"cmd":"true"}}][then][say done by {policy}]'
        here.say(session, text, agent="tools")
        since = last_event(here, session)
        there.call("PATCH", f"/api/sessions/{session}/safety-policy", {"safety_policy": policy})
        run = retry(there, session)["turn_id"]
        with here.follow(session, since=since) as stream:
            if kind:
                stream.until(kind)
                here.resume(session, "approve")
            stream.until("stream_stopped")
        assert ("tool_call_confirmation" in stream.types) is bool(kind)
        assert run_once_ended(here, session, run)["status"] == "finished"
        assert roles(here, session) == ["user", "assistant", "tool", "assistant"]


def test_of_retries_at_once_one_begins(here: LocalClient, there: LocalClient, model: OfflineServer) -> None:
    session = here.new_session()
    here.say(session, "[fail 400 1][words 20][hold 5 times 1][say better now]")
    clients = [here, there] * 3
    gathered = threading.Barrier(len(clients))

    def attempt(client: LocalClient) -> Any:
        gathered.wait()
        return client.ask("POST", f"/api/sessions/{session}/retry", {})

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(attempt, clients))
    begun = [answer.get_json()["turn_id"] for answer in answers if answer.status_code == 202]
    assert len(begun) == 1
    busy = [answer.get_json() for answer in answers if answer.status_code != 202]
    assert {answer["code"] for answer in busy} == {"session_busy"}
    assert model.wait_until(lambda stats: stats.open_streams > 0, 30.0)
    model.release()
    assert run_once_ended(here, session, begun[0])["status"] == "finished"
    assert roles(here, session) == ["user", "assistant"]


def test_what_waits_comes_after_a_pause_in_its_order(
    here: LocalClient, there: LocalClient, gate: Gate, model: OfflineServer
) -> None:
    """A run that is paused before what waits in its queue does not take it in twice, nor out of order."""
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        paused_in_a_turn(here, session, gate, stream)
        follow_up(there, session, "[say after all]")
        steer(there, session, "[say in between]")
        assert pause(there, session) is False
        stream.until("stream_stopped")
    here.wait_until_free(session)
    assert said_by_user(here, session)[1:] == ["[say in between]", "[say after all]"]
    assert model.violations == []


def test_a_pause_comes_before_the_question_for_more_turns(here: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True, max_iterations=1)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        paused_in_a_turn(here, session, gate, stream)
        assert "max_iterations_reached" not in stream.types
        assert pause(here, session) is False
        stream.until("max_iterations_reached")
        assert pause(here, session) is True, "it is armed while the question is open"
        here.resume(session, "approve")
        stream.rest()
    assert stream.types.count("runtime_paused") == 1
    assert status(here, session)["pause_armed"]


@pytest.mark.parametrize("paused", [False, True], ids=["at work", "paused"])
def test_a_wait_ends_with_its_session(
    here: LocalClient, there: LocalClient, gate: Gate, *, paused: bool
) -> None:
    session = here.new_session(tools_approved=True)
    with (
        here.run(session, f"{gate.call}{DONE}", agent="tools") as stream,
        ThreadPoolExecutor(1) as pool,
    ):
        if paused:
            run = paused_in_a_turn(here, session, gate, stream)["id"]
        else:
            gate.wait_until_reached()
            [run] = [run["id"] for run in here.call("GET", f"/api/runs?session={session}")]
        path = f"/api/sessions/{session}/turns/{run}/wait"
        waiting = pool.submit(there.ask, "POST", path)
        here.call("DELETE", f"/api/sessions/{session}?wait=true&timeout=20s")
        assert waiting.result(30).status_code in (204, 404), "its end may be seen before it is gone"
        assert there.ask("POST", path).status_code == 404
