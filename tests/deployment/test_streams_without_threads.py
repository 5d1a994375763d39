"""An open stream holds no request thread under our worker, and is an answer like any other at its end."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.deployment.conftest import Connect
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

STREAMS = 12


@pytest.fixture(scope="module")
def baton(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    with BatonProcess(tmp_path_factory.mktemp("baton"), model_url=stand_in.url, agents=AGENTS) as process:
        yield process


@pytest.fixture
def client(baton: BatonProcess, connect: Connect, model: OfflineServer) -> Client:
    return connect(baton.url)


def threads_in_use(client: Client) -> float:
    """By requests, this one included."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("baton_threads_in_use"))


def threads_of(baton: BatonProcess) -> int:
    [worker] = baton.worker_pids()
    return len([*Path(f"/proc/{worker}/task").iterdir()])


def test_streams_that_wait_hold_one_thread_each_that_of_the_run(baton: BatonProcess, client: Client) -> None:
    with ExitStack() as streams:
        counts = []
        for _ in range(STREAMS + 1):  # with the first one the threads of the process begin
            stream = streams.enter_context(client.run(client.new_session(), "[words 8][hold 4]"))
            stream.until("agent_choice")
            eventually(lambda: threads_in_use(client) == 1, "the stream's thread was given back")
            counts.append(threads_of(baton))
        assert counts[-1] - counts[0] < 1.5 * STREAMS
        assert threads_in_use(client) == 1


def test_a_follower_of_a_session_holds_none_either(
    client: Client, model: OfflineServer, connect: Connect, baton: BatonProcess
) -> None:
    session = client.new_session()
    with client.follow(session, since=0) as followed:
        eventually(lambda: threads_in_use(client) == 1, "the follower's thread was given back")
        with client.run(session, "[words 8][hold 4]") as stream:
            stream.until("agent_choice")
            followed.until("agent_choice")
            model.release()
            assert stream.rest()[-1]["type"] == "stream_stopped"
        followed.until("stream_stopped")


def test_a_connection_is_of_use_again_after_its_stream(
    baton: BatonProcess, client: Client, model: OfflineServer
) -> None:
    session = client.new_session()
    host, _, port = baton.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    for _ in range(2):
        body = json.dumps([{"role": "user", "content": "[words 8][hold 4]"}])
        head = {"Content-Type": "application/json"}
        connection.request("POST", f"/api/sessions/{session}/agent/plain", body, head)
        answer = connection.getresponse()
        assert answer.readline().startswith(b"retry")
        eventually(lambda: threads_in_use(client) == 1, "the stream's thread was given back")
        used = connection.sock
        model.release()
        assert b"stream_stopped" in answer.read()  # the last chunk has come: this read ends
        connection.request("GET", "/api/ping")
        assert connection.sock is used
        assert connection.getresponse().read()
    connection.close()
