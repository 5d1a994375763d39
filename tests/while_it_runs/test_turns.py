"""A turn is named by its run: its end can be waited for, and it can be stopped, from wherever."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest

from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

DONE = "[then][say done]"


def path_of(session: str, turn: str, query: str = "") -> str:
    return f"/api/sessions/{session}/turns/{turn}/wait{query}"


def started(client: LocalClient, session: str, text: str) -> str:
    """A run that goes on by itself."""
    body = [{"content": text}]
    answer = client.call("POST", f"/api/sessions/{session}/agent/tools?stream=false", body, expect=202)
    return str(answer["run"]["id"])


def waiting(client: LocalClient, path: str) -> tuple[threading.Thread, list[tuple[int, Any]]]:
    """Somebody who waits there, and the answers; he has taken a stream's place."""
    answers: list[tuple[int, Any]] = []
    taken = client.server.runtime.slots.taken

    def wait() -> None:
        response = LocalClient(client.server).ask("POST", path)
        answers.append((response.status_code, response.get_json(silent=True)))

    waiter = threading.Thread(target=wait)
    waiter.start()
    eventually(lambda: client.server.runtime.slots.taken == taken + 1, "it waits")
    return waiter, answers


def cancel(client: LocalClient, session: str, turn: str, *, query: str = "?wait=20") -> Any:
    return client.call("POST", f"/api/sessions/{session}/cancel{query}", {"turn_id": turn})


def test_whoever_waits_for_a_turn_is_told_when_its_end_is_stored(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    turn = started(here, session, f"{gate.call}{DONE}")
    gate.wait_until_reached()
    waits = [waiting(client, path_of(session, turn)) for client in (here, there)]
    gate.open()
    for waiter, answers in waits:
        waiter.join(30)
        assert answers == [(204, None)]
    assert there.call("GET", f"/api/runs/{turn}")["status"] == "finished"
    assert there.server.runtime.slots.taken == 0
    response = there.ask("POST", path_of(session, turn))
    assert (response.status_code, response.get_data()) == (204, b"")


def test_a_wait_ends_in_time(here: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    turn = started(here, session, f"{gate.call}{DONE}")
    gate.wait_until_reached()
    refused = here.call("POST", path_of(session, turn, "?timeout=10ms"), expect=503)
    assert refused["code"] == "turn_not_ended"
    for wrong in ("soon", "-1"):
        here.call("POST", path_of(session, turn, f"?timeout={wrong}"), expect=422)
    gate.open()


@pytest.mark.usefixtures("model")
def test_a_turn_that_is_not_there_or_another_session_s_is_waited_for_by_nobody(here: LocalClient) -> None:
    session, other = here.new_session(), here.new_session()
    here.say(session, "[say hello]")
    [run] = here.call("GET", f"/api/runs?session={session}")
    for path in (path_of(session, "nothing"), path_of(other, run["id"])):
        assert here.call("POST", path, expect=404)["code"] == "unknown_run"
    assert here.call("POST", path_of("nobody", run["id"]), expect=404)["code"] == "unknown_session"


def test_whoever_waits_for_a_turn_of_a_deleted_session_is_told_so(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    turn = started(here, session, f"{gate.call}{DONE}")
    gate.wait_until_reached()
    waiter, answers = waiting(there, path_of(session, turn))
    here.call("DELETE", f"/api/sessions/{session}")
    waiter.join(30)
    [(status, body)] = answers
    assert status == 204 or (status, body["code"]) == (404, "unknown_run")


def test_a_client_that_hangs_up_ends_its_wait_and_not_the_turn(
    here: LocalClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()
    monkeypatch.setattr("app.web.long_poll.client_left", lambda _: nullcontext(left))
    session = here.new_session(tools_approved=True)
    turn = started(here, session, f"{gate.call}{DONE}")
    gate.wait_until_reached()
    waiter, answers = waiting(here, path_of(session, turn))
    left.set()
    waiter.join(30)
    assert [status for status, _ in answers] == [503]
    assert here.call("GET", f"/api/runs/{turn}")["status"] == "running"
    gate.open()


def test_a_stop_of_a_turn_says_what_came_of_it(here: LocalClient, there: LocalClient, gate: Gate) -> None:
    for asked in (here, there):
        session = here.new_session(tools_approved=True)
        turn = started(here, session, f"{gate.call}{DONE}")
        gate.wait_until_reached()
        for other in ("nothing", "0123456789abcdef"):
            answer = cancel(asked, session, other)
            assert answer == {"session_id": session, "turn_id": other, "outcome": "not_active"}
        gentle = cancel(asked, session, turn, query="?at=safe_point")
        assert (gentle["outcome"], gentle["turn_id"]) == ("accepted", turn)
        assert cancel(asked, session, turn)["outcome"] == "accepted"
        assert here.call("GET", f"/api/runs/{turn}")["status"] == "cancelled"
        assert cancel(asked, session, turn)["outcome"] == "not_active"
        here.wait_until_free(session)


def test_a_turn_that_is_stopping_already_says_so(here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, "[words 50][hold 5]") as stream:
        stream.until("agent_choice")
        live = here.server.runtime.runs.find(session)
        assert live is not None
        with live.log.writing:  # its end can't be stored yet
            first = here.call("POST", f"/api/sessions/{session}/cancel", {}, expect=202)
            again = cancel(here, session, live.run.id, query="")
        stream.rest()
    assert (first["outcome"], first["session_id"], first["turn_id"]) == ("accepted", session, live.run.id)
    assert first["run"]["id"] == live.run.id
    assert (again["outcome"], again["run"]["status"]) == ("already_cancelling", "running")


def test_without_a_turn_a_stop_of_nothing_is_still_refused(here: LocalClient) -> None:
    session = here.new_session()
    assert here.call("POST", f"/api/sessions/{session}/cancel", {}, expect=409)["code"] == "not_running"
    assert (
        here.call("POST", "/api/sessions/nobody/cancel", {"turn_id": "x"}, expect=404)["code"]
        == "unknown_session"
    )
