"""F13, F14, F15, F39: a run that is stopped in the middle of its tools leaves a conversation that goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, text_of

ECHO = '[call shell {{"cmd":"echo result-{}"}}]'


def tool_rows(client: Client, session: str) -> list[dict[str, Any]]:
    return [message for message in client.messages(session) if message["role"] == "tool"]


def cancel(client: Client, session: str) -> None:
    response = client.post(f"/api/sessions/{session}/cancel?wait=30")
    assert response.status_code == 200, response.text
    assert response.json()["run"]["status"] == "cancelled"


@pytest.mark.parametrize(("calls", "stopped_in"), [(1, 0), (4, 0), (4, 1), (4, 2), (4, 3)])
def test_f13_f14_what_was_finished_is_kept_and_the_rest_is_closed_when_a_run_is_stopped_in_a_tool(
    client: Client, model: OfflineServer, gate: Gate, calls: int, stopped_in: int
) -> None:
    session = client.new_session(tools_approved=True)
    script = "".join(gate.call if k == stopped_in else ECHO.format(k) for k in range(calls))
    with client.run(session, f"{script}[then][say never said]", agent="tools") as stream:
        gate.wait_until_reached()
        cancel(client, session)
        assert stream.rest()[-1]["type"] == "stream_stopped"
    rows = tool_rows(client, session)
    assert [row["content"] for row in rows[:stopped_in]] == [f"result-{k}" for k in range(stopped_in)]
    assert not any(row.get("is_error") for row in rows[:stopped_in])
    assert [row["is_error"] for row in rows[stopped_in:]] == [True] * (calls - stopped_in)
    assert text_of(client.say(session, "[say and on]", agent="tools")) == "and on"
    [results] = [
        message["content"]
        for message in model.requests[-1]["messages"]
        if message["role"] == "user" and message["content"][0]["type"] == "tool_result"
    ]
    answered = [block for block in results if block["type"] == "tool_result"]
    assert [bool(block.get("is_error")) for block in answered] == [k >= stopped_in for k in range(calls)]


def test_f13_a_run_that_is_stopped_between_its_rounds_goes_on_with_the_next_message(
    client: Client, model: OfflineServer
) -> None:
    session = client.new_session(tools_approved=True)
    script = ECHO.format(1) + ECHO.format(2) + "[then][hold 0][say never said]"
    with client.run(session, script, agent="tools") as stream:
        assert model.wait_until(lambda stats: stats.requests == 2 and stats.open_streams == 1)
        cancel(client, session)
        stream.rest()
    assert [row["content"] for row in tool_rows(client, session)] == ["result-1", "result-2"]
    assert text_of(client.say(session, "[say and on]", agent="tools")) == "and on"


def stubborn_call(mark: Path) -> str:
    """A command that does not die of a polite signal, and neither does the child that it starts."""
    words = f"trap '' TERM INT HUP; (trap '' TERM INT HUP; sleep 600) & touch {mark}; sleep 600; echo late"
    return f'[call shell {{"cmd":"{words}"}}][then][say never said]'


def test_f15_a_tool_that_ignores_the_stop_is_ended_and_its_late_words_go_nowhere(
    baton: BatonProcess, client: Client, model: OfflineServer
) -> None:
    session = client.new_session(tools_approved=True)
    mark = baton.directory / f"begun-{session}"
    with client.run(session, stubborn_call(mark), agent="tools") as stream:
        eventually(mark.exists, "the command has begun", seconds=30)
        cancel(client, session)
        assert stream.rest()[-1]["type"] == "stream_stopped"
    [row] = tool_rows(client, session)
    assert row["is_error"]
    assert "late" not in row["content"]
    assert text_of(client.say(session, "[say and on]", agent="tools")) == "and on"


def test_f15_until_it_has_stopped_the_session_says_that_it_is_stopping(
    baton: BatonProcess, client: Client, model: OfflineServer
) -> None:
    """A request in between is told so, or is let in already; nothing else."""
    session = client.new_session(tools_approved=True)
    mark = baton.directory / f"begun-{session}"
    with client.run(session, stubborn_call(mark), agent="tools") as stream:
        eventually(mark.exists, "the command has begun", seconds=30)
        assert client.post(f"/api/sessions/{session}/cancel").status_code in (200, 202)
        codes = set()

        def let_in() -> bool:
            response = client.try_run(session, "[say and on]", agent="tools")
            if response.status_code == 409:
                codes.add(response.json()["code"])
            response.close()
            return response.status_code == 200

        eventually(let_in, "the session is free", seconds=30)
        assert codes <= {"stopping"}
        stream.rest()


def test_f10_a_run_that_ends_late_frees_nobody_elses_session(
    baton: BatonProcess, client: Client, model: OfflineServer, gate: Gate
) -> None:
    """The first run's tool ignores the stop; the second one holds the session while the first one ends."""
    session = client.new_session(tools_approved=True)
    mark = baton.directory / f"begun-{session}"
    with client.run(session, stubborn_call(mark), agent="tools") as first:
        eventually(mark.exists, "the command has begun", seconds=30)
        assert client.post(f"/api/sessions/{session}/cancel").status_code in (200, 202)
        query = "?when_busy=wait"
        with client.run(session, f"{gate.call}[then][say second]", agent="tools", query=query) as second:
            gate.wait_until_reached()
            assert first.rest()[-1]["type"] == "stream_stopped"
            refusal = client.try_run(session, "me too", agent="tools")
            assert (refusal.status_code, refusal.json()["code"]) == (409, "session_busy")
            gate.open()
            assert text_of(second.rest()) == "second"


def test_f39_stopping_one_session_stops_no_other(client: Client, make_gate: Callable[[], Gate]) -> None:
    stopped, other = (client.new_session(tools_approved=True) for _ in range(2))
    gates = [make_gate(), make_gate()]
    with (
        client.run(stopped, f"{gates[0].call}[then][say never said]", agent="tools") as first,
        client.run(other, f"{gates[1].call}[then][say finished]", agent="tools") as second,
    ):
        for gate in gates:
            gate.wait_until_reached()
        cancel(client, stopped)
        assert text_of(first.rest()) == ""
        assert client.try_run(other, "me too", agent="tools").json()["code"] == "session_busy"
        gates[1].open()
        assert text_of(second.rest()) == "finished"


def test_f39_a_stop_that_names_another_run_stops_nothing(client: Client, gate: Gate) -> None:
    session = client.new_session(tools_approved=True)
    client.say(session, "[say one]", agent="tools")
    [old] = [run["id"] for run in client.get("/api/runs").json() if run["session_id"] == session]
    with client.run(session, f"{gate.call}[then][say finished]", agent="tools") as stream:
        gate.wait_until_reached()
        late = client.post(f"/api/sessions/{session}/cancel", {"run_id": old})
        assert (late.status_code, late.json()["code"]) == (409, "not_running")
        gate.open()
        assert text_of(stream.rest()) == "finished"
