"""F21: a question outlives its process. It is still asked after a kill and a restart, is answered once, in
whatever process the answer reaches, and what it was about happens once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.invariants import broken_promises
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.kill_points.aftermath import Aftermath, call

CONFIRM = "tool_call_confirmation"


@pytest.fixture
def marks(aftermath: Aftermath) -> Path:
    return aftermath.marks()


def asked(aftermath: Aftermath, text: str, event: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """A session whose server was killed right after it had asked, and what the restarted one says of it."""
    session, life = aftermath.doom(text, session={"title": "asked"}, at_event=event, **more)
    assert life.types[-1] == event
    aftermath.survivor.runtime.supervisor.recover()
    return session, dict(aftermath.client.session(session)["run"])


def finished(aftermath: Aftermath, session: str) -> None:
    aftermath.client.wait_until_free(session)
    assert aftermath.states(session) == ["finished"]
    aftermath.next_message_works(session, restarted=False)
    assert broken_promises(aftermath.survivor.store, only=session) == []


def results(aftermath: Aftermath, session: str) -> list[str]:
    return [one["content"] for one in aftermath.client.messages(session) if one["role"] == "tool"]


def test_f21_an_approval_outlives_its_process_and_the_tool_runs_once(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    text = f"{call('shell', cmd=f'echo ran | tee -a {marks}')}[then][say done]"
    session, run = asked(aftermath, text, "tool_call_confirmation")
    assert run["status"] == "awaiting_approval"
    call_id = run["waiting_for"]["call_id"]
    busy = aftermath.client.call(
        "POST", f"/api/sessions/{session}/agent/tools", [{"role": "user", "content": "hello?"}], expect=409
    )
    assert busy["code"] == "awaiting_approval"
    assert not marks.exists()
    aftermath.client.resume(session, "approve", {"call_id": call_id})
    aftermath.client.wait_until_free(session)
    assert marks.read_text() == "ran\n"
    second = aftermath.client.resume(session, "reject", {"call_id": call_id}, expect=409)
    assert second["code"] == "answered_already"
    assert second["decision"] == "approve"
    finished(aftermath, session)
    assert marks.read_text() == "ran\n"
    assert results(aftermath, session) == ["ran"]


def test_f21_a_rejection_after_the_restart_is_told_to_the_model_with_its_reason(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    text = f"{call('shell', cmd=f'echo ran >> {marks}')}[then][say done]"
    session, _ = asked(aftermath, text, "tool_call_confirmation")
    aftermath.client.resume(session, "reject", {"reason": "not on a Sunday"})
    finished(aftermath, session)
    assert not marks.exists()
    [result] = results(aftermath, session)
    assert "rejected" in result
    assert "not on a Sunday" in result


def test_f21_an_approval_for_the_whole_session_counts_for_the_next_calls_too(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    calls = [call("shell", cmd=f"echo {name} >> {marks}") for name in "abc"]
    session, _ = asked(aftermath, f"{calls[0]}{calls[1]}[then]{calls[2]}", "tool_call_confirmation")
    aftermath.client.resume(session, "approve-session")
    finished(aftermath, session)
    assert marks.read_text().split() == ["a", "b", "c"]


def swept(aftermath: Aftermath, session: str) -> bool:
    """The database may keep a dead process's row locked for a moment; a sweep passes such a row by."""
    aftermath.survivor.runtime.supervisor.recover()
    run = aftermath.client.session(session).get("run")
    return run is None or run["status"] != "running"


def test_f21_a_process_that_dies_with_the_answer_leaves_the_question_or_a_free_session(
    aftermath: Aftermath, model: OfflineServer
) -> None:
    """It got the answer to a question of a dead process, and dies at each of its writes: before it has taken the run
    the question is still there; later the run is closed, and the call ran at most once."""
    ends = set()
    for number in itertools.count(1):
        assert number < 30, "the run never survives"
        marks, moment = aftermath.marks(), ("before", "after")[number % 2]
        session, _ = asked(aftermath, f"{call('shell', cmd=f'echo a >> {marks}')}[then][say done]", CONFIRM)
        life = aftermath.doom_in(session, confirmation="approve", at_write=number, moment=moment)
        eventually(lambda here=session: swept(aftermath, here), "the sweep has found the dead one's row free")
        run = aftermath.client.session(session).get("run")
        ends.add("waits" if run else aftermath.states(session)[0])
        if run:
            aftermath.client.resume(session, "approve")
            finished(aftermath, session)
            assert marks.read_text() == "a\n"
        else:
            aftermath.next_message_works(session, restarted=False)
        aftermath.everything_holds(session, life, marks)
        if life.survived:
            break
    assert ends == {"waits", "interrupted", "finished"}


def test_arguments_that_a_person_changed_outlive_the_process_that_asked(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    """One process asks and dies, a second one takes the answer and dies at one of its writes. Whatever runs, runs once
    and with the changed arguments, and the model is told so if it may have run."""
    ends = set()
    for number in itertools.count(1):
        assert number < 30, "the run never survives"
        marks = aftermath.marks()
        session, run = asked(aftermath, f"{call('shell', cmd=f'echo a >> {marks}')}[then][say done]", CONFIRM)
        change = {"call_id": run["waiting_for"]["call_id"], "arguments": {"cmd": f"echo b >> {marks}"}}
        life = aftermath.doom_in(session, confirmation="approve", answer=change, at_write=number)
        eventually(lambda here=session: swept(aftermath, here), "the sweep has found the dead one's row free")
        waits = "run" in aftermath.client.session(session)
        if waits:
            aftermath.client.resume(session, "approve", change)
            finished(aftermath, session)
        [result] = results(aftermath, session)
        ran = marks.read_text() if marks.exists() else ""
        ends.add(
            (waits, ran, result.startswith("A person changed the arguments of this call before it ran."))
        )
        aftermath.next_message_works(session, restarted=False)
        aftermath.everything_holds(session, life, marks)
        if life.survived:
            break
    assert ends >= {(True, "b\n", True), (False, "", False), (False, "b\n", True)}
    assert ends <= {(True, "b\n", True), (False, "", False), (False, "", True), (False, "b\n", True)}


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_f21_a_form_outlives_its_process(aftermath: Aftermath, model: OfflineServer, action: str) -> None:
    text = f"{call('user_prompt', message='Which colour?')}[then][say thanks]"
    session, run = asked(aftermath, text, "elicitation_request")
    assert run["status"] == "awaiting_input"
    aftermath.client.elicit(session, action, {"colour": "green"})
    finished(aftermath, session)
    [result] = results(aftermath, session)
    assert action in result
    assert "green" in result


def test_f21_leave_to_go_on_outlives_its_process(aftermath: Aftermath, model: OfflineServer) -> None:
    thought = call("think", thought="hm")
    text = f"{thought}[then]{thought}[then][say over the limit]"
    session, run = asked(aftermath, text, "max_iterations_reached", agent="limited")
    assert run["waiting_for"]["kind"] == "max_iterations"
    aftermath.client.resume(session, "approve")
    finished(aftermath, session)
    assert "over the limit" in str(aftermath.client.messages(session))


def test_f21_a_pause_outlives_its_process_and_what_comes_after_it_goes_on_elsewhere(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    client = aftermath.client
    session = client.new_session(title="paused")
    pause = f"/api/sessions/{session}/pause"
    assert client.call("POST", pause) == {"paused": True}
    text = f"{call('shell', cmd=f'echo ran | tee -a {marks}')}[then][say done]"
    before = len(model.requests)
    life = aftermath.doom_in(session, text=text, at_event="runtime_paused")
    assert life.types[-1] == "runtime_paused"
    aftermath.survivor.runtime.supervisor.recover()
    assert client.session(session)["run"]["waiting_for"]["kind"] == "pause"
    assert client.call("GET", f"/api/sessions/{session}/status")["paused"] is True
    retried = client.call("POST", f"/api/sessions/{session}/retry", expect=409)
    assert retried["code"] == "session_busy", "a run that waits has not failed"
    assert len(model.requests) == before
    assert client.call("POST", pause) == {"paused": False}
    eventually(lambda: _waits_for(client, session) == "approval", "the model has asked for a call")
    client.resume(session, "approve")
    finished(aftermath, session)
    assert marks.read_text() == "ran\n"
    assert results(aftermath, session) == ["ran"]


def _waits_for(client: LocalClient, session: str) -> str:
    run = client.session(session).get("run") or {}
    return str((run.get("waiting_for") or {}).get("kind", ""))


def test_f21_of_two_answers_at_two_servers_the_first_counts_and_the_other_is_refused(
    aftermath: Aftermath, model: OfflineServer, marks: Path
) -> None:
    """The process that asked is gone; the answers reach the store at the same moment."""
    text = f"{call('shell', cmd=f'echo ran >> {marks}')}[then][say done]"
    session, run = asked(aftermath, text, "tool_call_confirmation")
    call_id = run["waiting_for"]["call_id"]
    aftermath.client.resume(session, "approve", {"call_id": call_id})
    assert aftermath.client.resume(session, "approve", {"call_id": call_id}, expect=409)["code"] in (
        "answered_already",
        "session_busy",
    )
    finished(aftermath, session)
    assert marks.read_text() == "ran\n"
