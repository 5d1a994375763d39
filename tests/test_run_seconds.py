"""A run may be at work for so long, by the clock, with everything that its agents delegate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.runtime.live_run import LiveRun
from app.runtime.run_clock import LIMIT, RunClock, shortest
from tests.chaos.invariants import broken_promises
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.process import eventually
from tests.harness.wire import text_of
from tests.test_sequences import call_text

TEAM = """
agents:
  root:
    model: m
    sub_agents: [helper]
    toolsets: [{type: background_agents}, {type: shell}]
  helper: {model: m, description: Helps, toolsets: [{type: shell}]}
  hasty: {model: m, max_run_seconds: 1}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
permissions: {allow: [run_background_agent, transfer_task, "shell:cmd=sleep*"]}
"""


@pytest.fixture
def servers(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[tuple[Server, Server]]:
    """Two on one database. Their runs may be at work for 100 seconds."""
    (tmp_path / "team.yaml").write_text(TEAM)
    settings = make_settings(
        tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url, run_seconds=100.0
    )
    first, second = build(settings), build(settings)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def local(servers: tuple[Server, Server]) -> LocalClient:
    return LocalClient(servers[0])


def live_run(client: LocalClient, session: str) -> LiveRun:
    live = client.server.runtime.runs.find(session)
    assert live is not None
    return live


def pass_time(live: LiveRun, seconds: float) -> None:
    """For the run's clock alone; the next look finds out."""
    live.clock._clock = lambda: time.monotonic() + seconds


def assert_time_reached(client: LocalClient, session: str, stream: LocalStream) -> None:
    assert stream.until("error")["code"] == "time_reached"
    assert_ended(client, session)


def assert_ended(client: LocalClient, session: str) -> None:
    """The session is free, with every call answered, and its run says why."""
    client.wait_until_free(session)
    [run] = client.call("GET", f"/api/runs?session={session}")
    assert (run["status"], run["code"]) == ("failed", "time_reached")
    assert broken_promises(client.server.store, only=session) == []


def test_a_run_that_waits_for_its_model_ends(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "[say one two three][stall 2]", agent="team") as stream:
        stream.until("agent_choice")
        pass_time(live_run(local, session), 100)
        assert_time_reached(local, session, stream)
    assert text_of(local.say(session, "[say again]", agent="team")) == "again"


@pytest.mark.parametrize("agent", ["root", "helper"])
def test_a_run_at_its_tools_ends_and_its_calls_are_closed(local: LocalClient, agent: str) -> None:
    """The helper works on a delegated task, under the limit of the run."""
    session = local.new_session()
    call = call_text("shell", cmd="sleep 600")
    if agent == "helper":
        call = call_text("transfer_task", agent="helper", task=call, expected_output="")
    with local.run(session, call, agent="team") as stream:
        while stream.until("tool_call")["tool_call"]["function"]["name"] != "shell":
            pass
        pass_time(live_run(local, session), 100)
        assert_time_reached(local, session, stream)
    assert [row["role"] for row in local.messages(session)][-1] == "tool"


def test_an_agent_may_have_a_shorter_limit(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "[say one two three][stall 2]", agent="team/hasty") as stream:
        stream.until("agent_choice")
        assert live_run(local, session).run.options[LIMIT] == 1.0
        assert_time_reached(local, session, stream)


def test_a_wait_for_a_person_does_not_count(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, call_text("shell", cmd="echo hi") + "[then][say done]", agent="team") as stream:
        stream.until("tool_call_confirmation")
        live = live_run(local, session)
        eventually(lambda: live.waiting_for is not None, "the run waits")
        pass_time(live, 1000)
        local.server.runtime.supervisor.abandon()
        assert not live.cancellation.is_set()
        local.resume(session, "approve")
        assert text_of(stream.rest()) == "done"


def test_what_a_run_has_worked_counts_where_it_goes_on(
    servers: tuple[Server, Server], model: OfflineServer
) -> None:
    here, there = (LocalClient(server) for server in servers)
    session = here.new_session()
    asking = call_text("shell", cmd="echo hi") + "[then][hold 1][say three four]"
    with here.run(
        session, f"[hold 1][say one two]{asking}", agent="team", query="?on_disconnect=continue"
    ) as stream:
        stream.until("agent_choice")
        pass_time(live_run(here, session), 90)
        model.release()
        stream.until("tool_call_confirmation")
        here.server.runtime.supervisor.drain(0)
    there.resume(session, "approve")
    eventually(lambda: len(model.requests) == 2, "the run goes on")
    live = live_run(there, session)
    assert live.clock.worked >= 90
    assert live.clock.left <= 10
    pass_time(live, 10)
    assert_ended(there, session)


def test_a_background_task_gets_what_is_left_of_its_run(local: LocalClient, model: OfflineServer) -> None:
    session = local.new_session()
    start = call_text("run_background_agent", agent="helper", task="[say one two three][stall 2]")
    with local.run(session, f"[hold 1 times 1][say one two]{start}[then][say done]", agent="team") as stream:
        stream.until("agent_choice")
        pass_time(live_run(local, session), 60)
        model.release()
        stream.rest()
    [task] = [live for live in local.server.runtime.runs.all() if live.run.session_id != session]
    assert 0 < task.run.options[LIMIT] <= 40
    pass_time(task, 40)
    assert_ended(local, task.run.session_id)


def test_without_a_limit_nothing_is_stored(tmp_path: Path, model: OfflineServer) -> None:
    built = build(make_settings(tmp_path, model.url))
    client = LocalClient(built)
    session = client.new_session()
    with client.run(session, "[say one two three][stall 2]") as stream:
        stream.until("agent_choice")
        live = live_run(client, session)
        assert LIMIT not in live.run.options
        pass_time(live, 1e9)
        built.runtime.supervisor.abandon()
        assert not live.cancellation.is_set()
    built.close()


def test_the_clock_stands_still_while_it_is_stopped() -> None:
    times: Any = iter(range(0, 1000, 10))
    clock = RunClock(25.0, worked=5.0, clock=lambda: float(next(times)))
    assert (clock.worked, clock.left) == (15.0, 0.001)
    clock.stop()
    assert (clock.worked, clock.worked, clock.is_over) == (35.0, 35.0, True)
    clock.go_on()
    assert clock.worked == 45.0
    assert not RunClock().is_over
    assert (shortest(0, 0), shortest(0, 3), shortest(5, 3)) == (0.0, 3, 3)
