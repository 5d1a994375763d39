"""A run pauses before its next model call, until somebody lets it go on, from whatever process."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.store.run_reads import Look
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import roles, said_by_user, steer

DONE = "[then][say done]"


def pause(client: LocalClient, session: str) -> bool:
    """Whether it is paused from now on."""
    return bool(client.call("POST", f"/api/sessions/{session}/pause")["paused"])


def status(client: LocalClient, session: str) -> dict[str, bool]:
    shown = client.call("GET", f"/api/sessions/{session}/status")
    return {name: shown.get(name, False) for name in ("streaming", "pause_armed", "paused")}


AT_WORK = {"streaming": True, "pause_armed": False, "paused": False}
PAUSED = {"streaming": True, "pause_armed": True, "paused": True}


def paused_in_a_turn(client: LocalClient, session: str, gate: Gate, stream: LocalStream) -> dict[str, Any]:
    """The run, paused after its first tool call."""
    gate.wait_until_reached()
    assert pause(client, session)
    assert status(client, session) == AT_WORK | {"pause_armed": True}
    gate.open("the result")
    event = stream.until("runtime_paused")
    assert (event["session_id"], event["agent_name"]) == (session, "root")
    [run] = client.call("GET", f"/api/runs?session={session}")
    return dict(run)


def test_tools_finish_first_and_the_model_is_not_asked_before_somebody_lets_it_go_on(
    here: LocalClient, there: LocalClient, gate: Gate, model: OfflineServer
) -> None:
    for asked in (here, there):
        session = here.new_session(tools_approved=True)
        with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
            run = paused_in_a_turn(asked, session, gate, stream)
            assert (run["paused"], run["waiting_for"]) == (True, {"kind": "pause", "agent": "root"})
            requests = len(model.requests)
            for client in (here, there):
                assert status(client, session) == PAUSED
                assert client.call("GET", f"/api/runs/{run['id']}")["paused"] is True
                busy = client.try_run(session, "[say hello]", agent="tools")
                refused = busy.get_json()
                busy.close()
                assert (refused["code"], refused["run"]["paused"]) == ("session_busy", True)
                assert client.resume(session, "approve", expect=409)["code"] == "nothing_to_answer"
            assert roles(here, session) == ["user", "assistant", "tool"]
            steer(there, session, "[say said meanwhile]")
            assert len(model.requests) == requests
            assert pause(asked, session) is False
            stream.rest()
        assert stream.types.count("runtime_paused") == 1
        assert stream.events[-1]["reason"] == "normal"
        assert said_by_user(here, session)[-1] == "[say said meanwhile]"
        assert status(here, session) == dict.fromkeys(PAUSED, False)
        assert "paused" not in here.call("GET", f"/api/runs/{run['id']}")


def test_a_pause_that_is_taken_back_in_time_is_none(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        assert [pause(client, session) for client in (here, there, there, here)] == [True, False, True, False]
        gate.open()
        stream.rest()
    assert "runtime_paused" not in stream.types


def test_a_pause_that_is_taken_back_at_the_last_moment_is_none(
    servers: Servers, here: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has seen it before it was taken back; it asks again in the transaction that would make it wait."""
    session = here.new_session()
    reads, looks = servers[0].store.reads, list[Look]()
    look = reads.look

    def look_and_take_it_back(session_id: str) -> Look:
        looks.append(look(session_id))
        if looks[-1].session.choices.pause:
            assert pause(here, session_id) is False
        return looks[-1]

    assert pause(here, session)
    with monkeypatch.context() as patch:
        patch.setattr(reads, "look", look_and_take_it_back)
        events = here.say(session, "[say hello]")
    assert looks[0].session.choices.pause
    assert "runtime_paused" not in [event["type"] for event in events]
    assert status(here, session) == dict.fromkeys(PAUSED, False)


@pytest.mark.usefixtures("model")
def test_the_next_run_of_a_session_that_was_idle_is_paused(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    assert pause(there, session)
    assert status(here, session) == {"streaming": False, "pause_armed": True, "paused": False}
    fork = here.call("POST", f"/api/sessions/{session}/fork", {})["id"]
    assert not status(here, fork)["pause_armed"], "a copy is not paused"
    with here.run(session, "[say hello]") as stream:
        stream.until("runtime_paused")
        assert "agent_choice" not in stream.types
        assert pause(there, session) is False
        stream.rest()
    assert roles(here, session) == ["user", "assistant"]


def test_a_stop_ends_a_paused_run_and_its_pause(here: LocalClient, there: LocalClient, gate: Gate) -> None:
    for query in ("?wait=20", "?wait=20&at=safe_point"):
        session = here.new_session(tools_approved=True)
        with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
            run = paused_in_a_turn(here, session, gate, stream)
            stopped = there.call("POST", f"/api/sessions/{session}/cancel{query}", {"turn_id": run["id"]})
            assert stopped["run"]["status"] == "cancelled"
            assert "paused" not in stopped["run"]
            stream.rest()
        here.say(session, "[say free again]")
        assert status(here, session) == dict.fromkeys(PAUSED, False)


@pytest.mark.parametrize("parked", [False, True], ids=["held", "let go"])
def test_a_pause_that_stands_too_long_ends_the_run(
    servers: Servers, here: LocalClient, there: LocalClient, gate: Gate, *, parked: bool
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools", query="?on_disconnect=continue") as stream:
        run = paused_in_a_turn(here, session, gate, stream)
        if parked:
            let_go(here, session)
        servers[1].control.expire_questions()
        assert there.ask("POST", f"/api/sessions/{session}/turns/{run['id']}/wait").status_code == 204
    ended = there.call("GET", f"/api/runs/{run['id']}")
    assert (ended["status"], ended["stopped_by"]) == ("cancelled", "server")
    retried = there.call("POST", f"/api/sessions/{session}/retry", expect=202)
    assert there.ask("POST", f"/api/sessions/{session}/turns/{retried['turn_id']}/wait").status_code == 204
    assert roles(here, session) == ["user", "assistant", "tool", "assistant"]


def let_go(client: LocalClient, session: str) -> None:
    """As a drain does with a run that waits."""
    live = client.server.runtime.runs.find(session)
    assert live is not None
    live.park()
    assert live.finished.wait(30)


def test_a_paused_run_whose_process_goes_away_goes_on_where_it_is_resumed(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools", query="?on_disconnect=continue") as stream:
        run = paused_in_a_turn(here, session, gate, stream)
        let_go(here, session)
        assert status(there, session) == PAUSED
        assert pause(there, session) is False
        assert there.ask("POST", f"/api/sessions/{session}/turns/{run['id']}/wait").status_code == 204
    ended = there.call("GET", f"/api/runs/{run['id']}")
    assert ended["status"] == "finished"
    assert roles(there, session) == ["user", "assistant", "tool", "assistant"]
    assert "paused" not in ended


@pytest.mark.usefixtures("model")
def test_a_session_that_is_not_there_is_not_paused(here: LocalClient) -> None:
    assert here.call("POST", "/api/sessions/nobody/pause", expect=404)["code"] == "unknown_session"
