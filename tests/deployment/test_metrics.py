"""Numbers of several workers: any of them answers for all, and one that is killed takes nothing with it."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

from tests.conftest import StartBaton
from tests.deployment.conftest import Connect
from tests.harness.numbers import Numbers
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

METRICS = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
WORKERS = 3
STREAMS = 10


def numbers(client: Client) -> Numbers:
    response = client.get("/metrics", headers={"Connection": "close"})
    assert response.status_code == 200, response.text
    return Numbers(response.text)


def test_sums_are_right_over_all_workers_and_stay_right_when_one_is_killed(
    start_baton: StartBaton, connect: Connect
) -> None:
    settings = {"BATON_WORKERS": str(WORKERS), "BATON_MAX_STREAMS": str(STREAMS)}
    baton = start_baton(settings=settings)
    client, pid = connect(baton.url), baton.pid
    eventually(
        lambda: numbers(client).of("baton_streams_limit") == WORKERS * STREAMS, "all workers are counted"
    )
    for _ in range(5):
        client.say(client.new_session(), "[say hello]")
    waiting = client.new_session()
    with client.run(waiting, '[call shell {"cmd":"true"}]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        (run,) = client.get("/api/runs", params={"session": waiting}).json()
        eventually(
            lambda: numbers(client).of("baton_runs", status="awaiting_approval") == 1,
            "the run that waits is counted, whoever is asked",
        )
        before = numbers(client)
        assert before.of("baton_runs_started_total") == 6
        assert before.of("baton_runs_ended_total", status="finished") == 5
        assert before.of("baton_streams") == 1
        os.kill(run["pid"], signal.SIGKILL)
        eventually(lambda: numbers(client).of("baton_streams") == 0, "the gauges of the dead count no more")
    after = numbers(client)
    assert after.of("baton_runs_started_total") == 6
    assert after.of("baton_runs_ended_total", status="finished") == 5
    assert after.of("baton_events_total") >= before.of("baton_events_total")
    eventually(
        lambda: numbers(client).of("baton_streams_limit") == WORKERS * STREAMS, "a new worker has come"
    )
    assert list(own_directory(baton).glob("counter_*.db"))
    assert baton.stop() == 0
    assert not list(METRICS.glob(f"baton-metrics-{pid}-*")), "it leaves nothing behind"


def own_directory(baton: BatonProcess) -> Path:
    """Where this server keeps its numbers."""
    (mine,) = METRICS.glob(f"baton-metrics-{baton.pid}-*")
    return mine
