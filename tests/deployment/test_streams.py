"""Streams under gunicorn's limits: long ones, silent ones, too many of them, and readers that fill the house."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.deployment.conftest import Connect
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client, in_parallel, text_of

TIMEOUT = 3
MANY_STREAMS = 3


@pytest.fixture(scope="module")
def baton(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    """With limits that a test can reach."""
    limits = {"BATON_MAX_STREAMS": str(MANY_STREAMS), "GUNICORN_CMD_ARGS": f"--timeout {TIMEOUT}"}
    directory = tmp_path_factory.mktemp("baton")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=limits) as process:
        yield process


@pytest.fixture
def client(baton: BatonProcess, connect: Connect, model: OfflineServer) -> Client:
    return connect(baton.url)


def refusal(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def is_free(client: Client, session: str) -> bool:
    return client.session(session).get("run") is None


def test_a_stream_may_last_longer_than_the_workers_timeout(baton: BatonProcess, client: Client) -> None:
    """Gunicorn ends a worker whose main loop gives no sign of life for that long; a stream is not the loop."""
    [worker] = baton.worker_pids()
    words = 4 * (TIMEOUT + 2)
    with client.run(client.new_session(), f"[words {words}][pace 4]") as stream:
        events = stream.rest()
    assert len(text_of(events).split()) == words
    assert events[-1]["type"] == "stream_stopped"
    assert baton.worker_pids() == [worker]


def test_hanging_up_on_a_silent_stream_frees_the_session_long_before_a_heartbeat(
    client: Client, model: OfflineServer
) -> None:
    """Within a third of the heartbeat's 15 s: no write could have failed by then."""
    session = client.new_session()
    stream = client.run(session, "[words 8][stall 4]")
    stream.until("agent_choice")
    stream.hang_up()
    assert model.wait_until(lambda stats: stats.open_streams == 0, timeout=5)
    eventually(lambda: is_free(client, session), "the session is free", seconds=5)


def test_beyond_the_limit_runs_are_refused_and_everything_else_is_answered(
    client: Client, model: OfflineServer
) -> None:
    with ExitStack() as streams:
        busy = [client.new_session() for _ in range(MANY_STREAMS)]
        for session in busy:
            streams.enter_context(client.run(session, "[words 8][hold 4]")).until("agent_choice")
        one_more = client.new_session()
        refused = client.try_run(one_more, "[say hello]")
        assert refusal(refused) == (503, "server_full")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.messages(one_more) == []
        assert refusal(client.try_run(busy[0], "me too")) == (409, "session_busy")
        assert client.get("/api/ping").status_code == 200
        cancelled = client.post(f"/api/sessions/{busy[0]}/cancel?wait=30")
        assert cancelled.json()["run"]["status"] == "cancelled"
        eventually(lambda: lets_in(client, one_more), "there is a place again")
        model.release()


def lets_in(client: Client, session: str) -> bool:
    response = client.try_run(session, "[say hello]")
    response.close()
    return response.status_code == 200


def test_readers_count_among_the_streams_or_they_would_take_every_thread(
    baton: BatonProcess, client: Client, connect: Connect
) -> None:
    session = client.new_session()
    readers = [connect(baton.url) for _ in range(40)]
    with ExitStack() as answers:

        def follow(reader: Client) -> int:
            response = reader.get(f"/api/sessions/{session}/events", stream=True)
            answers.callback(response.close)
            return response.status_code

        statuses = in_parallel([lambda reader=reader: follow(reader) for reader in readers])
        assert sorted(statuses) == [200] * MANY_STREAMS + [503] * (len(readers) - MANY_STREAMS)
        assert client.get("/api/ping").status_code == 200
        assert refusal(client.try_run(session, "[say hello]")) == (503, "server_full")
    eventually(lambda: lets_in(client, session), "there is a place again")
