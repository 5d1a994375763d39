"""Signals: a server that is asked to stop ends its runs properly, and a killed one's runs are found in order at the
next start."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import StartBaton
from tests.deployment.conftest import Connect
from tests.harness.gate import Gate
from tests.harness.process import GUNICORN, ROOT, eventually
from tests.harness.wire import Client, text_of

QUICK = {"BATON_DRAIN_SECONDS": "0"}
PATIENT = {"BATON_DRAIN_SECONDS": "30"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    one = Gate(tmp_path)
    yield one
    one.close()


def statuses(client: Client, session: str) -> list[str]:
    """The states of the session's runs, newest first."""
    return [run["status"] for run in client.get("/api/runs").json() if run["session_id"] == session]


def tool_rows(client: Client, session: str) -> list[dict[str, object]]:
    return [message for message in client.messages(session) if message["role"] == "tool"]


def lets_in(client: Client, session: str, *, agent: str = "tools") -> bool:
    response = client.try_run(session, "[say and on]", agent=agent)
    response.close()
    return response.status_code == 200


def touching(file: Path) -> str:
    return f'[call shell {{"cmd":"echo ran >> {file}"}}]'


def test_a_stop_ends_what_runs_and_keeps_what_waits_and_the_next_server_goes_on(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate, tmp_path: Path
) -> None:
    """A worker that a run, a question or a reader held up would have to be killed, which cuts streams."""
    first = start_baton(settings=QUICK)
    client = connect(first.url)
    working, waiting = client.new_session(tools_approved=True), client.new_session()
    with (
        client.run(working, f"{gate.call}[then][say never said]", agent="tools") as work,
        client.run(waiting, touching(tmp_path / "ran"), agent="tools") as wait,
        client.follow(client.new_session()) as idle,
    ):
        gate.wait_until_reached()
        wait.until("tool_call_confirmation")
        first.signal(signal.SIGTERM)
        assert work.rest()[-1]["type"] == "stream_stopped"
        assert wait.rest()[-1]["type"] == "tool_call_confirmation", "it has not ended"
        assert idle.rest() == []
        assert first.wait() == 0
    assert "SIGKILL" not in first.log()
    again = connect(start_baton().url)
    assert statuses(again, working) == ["cancelled"]
    assert [row["is_error"] for row in tool_rows(again, working)] == [True]
    assert again.resume(working, "approve").json()["code"] == "nothing_to_answer"
    assert statuses(again, waiting) == ["awaiting_approval"]
    assert not (tmp_path / "ran").exists()
    assert again.resume(waiting, "approve").status_code == 200
    eventually(lambda: statuses(again, waiting) == ["finished"], "the answered run has finished")
    assert (tmp_path / "ran").read_text() == "ran\n"
    for session in (working, waiting):
        assert lets_in(again, session)


def test_ctrl_c_stops_as_gently(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate
) -> None:
    """To the whole group, as a terminal does it. A worker hears of it from the terminal and from the master, and
    again from who is impatient; the tool has to be killed, so that it is still stopping then."""
    baton = start_baton(settings=QUICK)
    client = connect(baton.url)
    session = client.new_session(tools_approved=True)
    with client.run(session, f"{gate.stubborn_call}[then][say never said]", agent="tools") as stream:
        gate.wait_until_reached()
        baton.signal_all(signal.SIGINT)
        eventually(lambda: "Worker exiting" in baton.log(), "the worker has begun to stop")
        baton.signal_all(signal.SIGINT)
        assert stream.rest()[-1]["type"] == "stream_stopped"
        assert baton.wait() == 0
    assert "SIGKILL" not in baton.log()


def test_a_drain_lets_the_run_at_work_finish_and_lets_no_new_one_in(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate
) -> None:
    baton = start_baton(settings=PATIENT)
    client = connect(baton.url)
    session, other = client.new_session(tools_approved=True), client.new_session()
    kept = [connect(baton.url) for _ in range(10)]
    for one in kept:
        one.get("/api/ping")  # connections from before: new ones are not taken any more
    with client.run(session, f"{gate.call}[then][say finished]", agent="tools") as stream:
        gate.wait_until_reached()
        baton.signal(signal.SIGTERM)
        outcomes = [_outcome(one, other) for one in kept]
        assert set(outcomes) <= {"let in", "draining", "not taken"}
        assert outcomes[-1] != "let in"
        assert outcomes == sorted(outcomes, key=["let in", "draining", "not taken"].index)
        gate.open()
        assert text_of(stream.rest()) == "finished"
    assert baton.wait() == 0


def _outcome(client: Client, session: str) -> str:
    """The server has to notice the signal first; and it keeps an old connection only for a moment then."""
    try:
        url = f"{client.url}/api/sessions/{session}/agent/plain"
        body = [{"role": "user", "content": "[say hello]"}]
        response = client.http.post(url, json=body, timeout=1)
    except requests.RequestException:
        return "not taken"
    return "let in" if response.status_code == 200 else str(response.json()["code"])


def test_hup_replaces_the_worker_while_the_run_in_the_old_one_finishes(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate
) -> None:
    baton = start_baton(settings=PATIENT)
    client = connect(baton.url)
    [old] = baton.worker_pids()
    session, other = client.new_session(tools_approved=True), client.new_session()
    with client.run(session, f"{gate.call}[then][say finished]", agent="tools") as stream:
        gate.wait_until_reached()
        baton.signal(signal.SIGHUP)
        eventually(lambda: set(baton.worker_pids()) - {old}, "a new worker was started", seconds=30)
        newcomer = connect(baton.url)
        eventually(lambda: lets_in(newcomer, other), "the new worker serves", seconds=30)
        refused = newcomer.try_run(session, "me too", agent="tools")
        assert (refused.status_code, refused.json()["code"]) == (409, "session_busy")
        gate.open()
        assert text_of(stream.rest()) == "finished"
    eventually(lambda: old not in baton.worker_pids(), "the old worker has gone", seconds=30)
    assert lets_in(newcomer, session)


def test_usr2_starts_a_second_server_beside_the_first_which_finishes_its_run(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate
) -> None:
    baton = start_baton(settings=PATIENT)
    client = connect(baton.url)
    workers = set(baton.worker_pids())
    session, other = client.new_session(tools_approved=True), client.new_session()
    with client.run(session, f"{gate.call}[then][say finished]", agent="tools") as stream:
        gate.wait_until_reached()
        baton.signal(signal.SIGUSR2)
        eventually(lambda: set(baton.worker_pids()) - workers, "a new master was started", seconds=30)
        eventually(lambda: baton.log().count("Booting worker") > 1, "it has a worker", seconds=30)
        baton.signal(signal.SIGTERM)
        newcomer = connect(baton.url)
        eventually(lambda: answers(newcomer) and lets_in(newcomer, other), "the new one serves", seconds=30)
        gate.open()
        assert text_of(stream.rest()) == "finished"
    eventually(lambda: not baton.running, "the old master has gone", seconds=30)
    assert lets_in(newcomer, session)


def test_usr2_keeps_the_key(start_baton: StartBaton) -> None:
    """A server without it would go on with the stand-in in place of the model."""
    gunicorn = [str(GUNICORN), "-c", str(ROOT / "gunicorn.conf.py")]
    baton = start_baton(command=["env", "--unset=ANTHROPIC_BASE_URL", *gunicorn])
    baton.signal(signal.SIGUSR2)
    eventually(lambda: baton.log().count("Booting worker") > 1, "a second server has a worker", seconds=60)
    assert "stand-in" not in baton.log()


def answers(client: Client) -> bool:
    """The old server has stopped to accept, and the new one has begun."""
    try:
        return client.get("/ready").status_code == 200
    except requests.RequestException:
        return False


def test_after_a_kill_sessions_are_free_at_once_and_calls_that_waited_still_wait(
    start_baton: StartBaton, connect: Connect, model: OfflineServer, gate: Gate, tmp_path: Path
) -> None:
    """Nobody waits for the lease, which the dead one had taken for ten minutes."""
    first = start_baton(settings={"BATON_LEASE_SECONDS": "600"})
    client = connect(first.url)
    working, waiting = client.new_session(tools_approved=True), client.new_session()
    script = f'[call shell {{"cmd":"echo done"}}]{gate.call}{touching(tmp_path / "third")}'
    with (
        client.run(working, script, agent="tools"),
        client.run(waiting, touching(tmp_path / "asked") + "[then][say approved]", agent="tools") as wait,
    ):
        gate.wait_until_reached()
        wait.until("tool_call_confirmation")
        first.kill()
    again = connect(start_baton().url)
    assert_closed(again, working)
    assert lets_in(again, working)
    assert not (tmp_path / "third").exists()
    assert_still_waits(again, waiting, lambda: (tmp_path / "asked").read_text())
    gate.open()


def test_a_server_that_nobody_has_asked_yet_closes_the_run_of_one_that_was_killed(
    start_baton: StartBaton, connect: Connect, gate: Gate, tmp_path: Path
) -> None:
    killed = start_baton(settings={"BATON_LEASE_SECONDS": "600"})
    start_baton()
    client = connect(killed.url)
    session = client.new_session(tools_approved=True)
    with client.run(session, gate.call, agent="tools"):
        gate.wait_until_reached()
        killed.kill()
    with closing(sqlite3.connect(tmp_path / "baton.db")) as database:
        status = "SELECT status FROM runs WHERE session_id = ?"
        eventually(
            lambda: database.execute(status, [session]).fetchall() == [("interrupted",)], "it is closed"
        )
    gate.open()


def assert_closed(client: Client, session: str) -> None:
    """The first of its calls was done, the second was running, the third had not begun."""
    assert statuses(client, session) == ["interrupted"]
    done, unknown, not_run = tool_rows(client, session)
    assert (done["content"], "is_error" in done) == ("done", False)
    assert unknown["is_error"]
    assert "not known whether" in str(unknown["content"])
    assert not_run["is_error"]
    assert "was not run" in str(not_run["content"])


def assert_still_waits(client: Client, session: str, read: Callable[[], str]) -> None:
    assert statuses(client, session) == ["awaiting_approval"]
    assert client.try_run(session, "me too", agent="tools").json()["code"] == "awaiting_approval"
    with client.follow(session) as stream:
        assert client.resume(session, "approve").status_code == 200
        assert stream.until("agent_choice")["content"] == "approved"
        stream.until("stream_stopped")
    assert read() == "ran\n"
