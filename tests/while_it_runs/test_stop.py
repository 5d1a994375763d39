"""A stop ends this run and no other, soon, from wherever it is asked, whatever the run is doing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.think import ThinkToolset
from app.agent.toolset import ToolResult
from app.runtime import supervisor
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.tools import instead_of
from tests.harness.wire import in_parallel
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import roles, steer

DONE = "[then][say done]"
HELD = "[words 50][hold 5]"


def cancel(
    client: LocalClient,
    session: str,
    *,
    run: str | None = None,
    query: str = "?wait=20",
    expect: int = 200,
) -> Any:
    sent = {"run_id": run} if run else {}
    return client.call("POST", f"/api/sessions/{session}/cancel{query}", sent, expect=expect)


def run_id(client: LocalClient, session: str) -> str:
    return str(client.call("GET", f"/api/runs?session={session}")[0]["id"])


@pytest.mark.usefixtures("model")
def test_a_stop_cuts_the_models_stream_and_can_be_repeated(here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        run = run_id(here, session)
        first = cancel(here, session)["run"]
        assert (first["id"], first["status"]) == (run, "cancelled")
        assert cancel(here, session, run=run)["run"] == first
        assert cancel(here, session, expect=409)["code"] == "not_running"
        stream.rest()
    assert stream.types[-1] == "stream_stopped"


def test_many_stops_at_once_stop_it_once(
    servers: Servers, here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        run = run_id(here, session)
        clients = [LocalClient(server) for server in servers * 4]
        answers = in_parallel([lambda c=c: cancel(c, session, run=run)["run"] for c in clients])
        stream.rest()
    assert {(answer["id"], answer["status"]) for answer in answers} == {(run, "cancelled")}
    assert stream.types.count("stream_stopped") == 1
    assert roles(there, session) == ["user", "assistant", "tool"]


def test_a_late_click_does_not_stop_the_next_run(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    here.say(session, "[say hello]")
    old = run_id(here, session)
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        for client in (here, there):
            assert cancel(client, session, run=old, expect=409)["code"] == "not_running"
        model.release()
        assert stream.rest()[-1]["type"] == "stream_stopped"
    assert cancel(here, session, run=old, expect=409)["code"] == "not_running"
    assert cancel(here, session, run="never-was", expect=409)["code"] == "not_running"


def test_a_stop_from_another_process_cuts_the_stream(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        assert cancel(there, session)["run"]["status"] == "cancelled"
        stream.rest()
    here.say(session, "[say free again]")


def test_a_stop_works_though_nobody_reads_any_more(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    unread = here.try_run(session, HELD)
    assert cancel(there, session)["run"]["status"] == "cancelled"
    here.wait_until_free(session)
    unread.close()


def test_a_gentle_stop_lets_the_calls_under_way_finish(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    for asked in (here, there):
        session = here.new_session(tools_approved=True)
        with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
            gate.wait_until_reached()
            answer = cancel(asked, session, query="?at=safe_point", expect=202)
            assert answer["run"]["status"] == "running"
            eventually(lambda: asked_gently(here), "the holder has heard of it")
            gate.open("finished in peace")
            stream.rest()
        assert [m["content"] for m in here.messages(session) if m["role"] == "tool"] == ["finished in peace"]
        assert roles(here, session)[-1] == "tool"


def asked_gently(client: LocalClient) -> bool:
    return all(live.stops_at_safe_point for live in client.server.runtime.runs.all())


def test_after_a_gentle_stop_nobody_is_asked_for_another_call(local: LocalClient, gate: Gate) -> None:
    session = local.new_session()
    local.call(
        "PATCH", f"/api/sessions/{session}/permissions", {"permissions": {"allow": ["shell:cmd=cat*"]}}
    )
    second = '[call shell {"cmd": "rm -rf everything"}]'
    with local.run(session, f"{gate.call}{second}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        cancel(local, session, query="?at=safe_point", expect=202)
        gate.open()
        stream.rest()
    assert "tool_call_confirmation" not in stream.types
    assert roles(local, session) == ["user", "assistant", "tool", "tool"]


class DeafTool:
    """Hears neither the cancel nor the end of its process's patience."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> ToolResult:
        self.reached.set()
        assert self.let_go.wait(30)
        return ToolResult("a late result")


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeafTool]:
    tool = DeafTool()
    instead_of(monkeypatch, ThinkToolset, "think", tool)
    for patience in ("ABANDON_SECONDS", "LOST_SECONDS"):
        monkeypatch.setattr(supervisor, patience, 0.1)
    yield tool
    tool.let_go.set()


def test_a_tool_that_ignores_the_stop_is_abandoned_and_its_late_result_goes_nowhere(
    here: LocalClient, there: LocalClient, servers: Servers, deaf: DeafTool
) -> None:
    session = here.new_session()
    with here.run(session, f'[call think {{"thought": "hm"}}]{DONE}', agent="tools") as stream:
        assert deaf.reached.wait(20)
        run = run_id(here, session)
        steer(here, session, "never mind")
        assert cancel(there, session, run=run)["run"]["status"] == "cancelled"
        stream.rest()
    [result] = [m["content"] for m in here.messages(session) if m["role"] == "tool"]
    assert "not known whether" in result
    [call] = servers[0].store.journal.ledger(session).values()
    assert call.state == "unknown"
    here.say(session, "[say free again]")
    before = here.messages(session)
    frames = servers[0].store.events.bounds(session)
    deaf.let_go.set()
    eventually(lambda: not still_running(run), "the abandoned thread has ended")
    assert here.messages(session) == before
    assert servers[0].store.events.bounds(session) == frames
    assert "a late result" not in str(stream.events)


def still_running(run: str) -> bool:
    return any(thread.name == f"run-{run[:8]}" for thread in threading.enumerate())


def test_a_deletion_stops_the_run_wherever_it_is_and_ends_all_readers(
    here: LocalClient, there: LocalClient, gate: Gate, servers: Servers
) -> None:
    session = here.new_session(tools_approved=True)
    readers = [client.follow(session, since=0) for client in (here, there)]
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        answer = there.call("DELETE", f"/api/sessions/{session}?wait=true")
        assert answer == {"message": "session deleted"}
        stream.rest()
    for reader in readers:
        assert reader.rest()[-1]["type"] in ("stream_stopped", "session_exited")
        reader.response.close()
    here.wait_until_free(session)
    here.call("GET", f"/api/sessions/{session}", expect=404)
    assert servers[0].store.runs.recent(session_id=session) == []


def test_a_deletion_that_the_run_does_not_follow_in_time_says_so(
    here: LocalClient, there: LocalClient, deaf: DeafTool
) -> None:
    for asked in (here, there):
        session = here.new_session()
        deaf.reached.clear()
        with here.run(session, f'[call think {{"thought": "hm"}}]{DONE}', agent="tools") as stream:
            assert deaf.reached.wait(20)
            answer = asked.call("DELETE", f"/api/sessions/{session}?wait=true&timeout=1ms", expect=202)
            assert answer == {"message": "session deleted, stop still in progress"}
            here.call("GET", f"/api/sessions/{session}", expect=404)
            assert stream.rest()[-1]["type"] in ("stream_stopped", "session_exited")
        here.wait_until_free(session)


def test_a_wait_that_makes_no_sense_is_refused_and_nothing_is_deleted(local: LocalClient) -> None:
    session = local.new_session()
    for query in ("wait=perhaps", "wait=true&timeout=soon", "timeout=-1s"):
        local.call("DELETE", f"/api/sessions/{session}?{query}", expect=422)
    assert local.session(session)["id"] == session


def test_a_stop_of_a_dead_process_s_run_ends_the_streams_of_its_readers(
    servers: Servers, here: LocalClient, there: LocalClient, deaf: DeafTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = here.new_session()
    monkeypatch.setattr(supervisor, "ABANDON_SECONDS", 60.0)
    with here.run(
        session, f'[call think {{"thought": "hm"}}]{DONE}', agent="tools", headers={"Idempotency-Key": "k"}
    ) as stream:
        assert deaf.reached.wait(20)
        text = f'[call think {{"thought": "hm"}}]{DONE}'
        with there.run(session, text, agent="tools", headers={"Idempotency-Key": "k"}) as attached:
            attached.until("tool_call")
            monkeypatch.setattr(
                servers[1].runtime.supervisor, "recover", int
            )  # housekeeping would find it too
            monkeypatch.setattr(servers[1].store.fence, "probe", lambda _owner: "gone")
            assert cancel(there, session)["run"]["status"] == "cancelled"
            assert attached.rest()[-1]["type"] == "stream_stopped"
        deaf.let_go.set()
        stream.rest()
    assert roles(here, session) == ["user", "assistant", "tool"]
    here.wait_until_free(session)
