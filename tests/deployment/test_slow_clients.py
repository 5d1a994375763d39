"""Clients that send half a request and no more, without a proxy in front of the server."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess, eventually

HELD = 300  # more than the 224 threads of the default settings
DEADLINE = 3.0
BODY = 200_000  # of a request that comes slowly, but in time


@pytest.fixture(scope="module")
def patient(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    """With the default settings: a slow request keeps its connection for longer than these tests last."""
    with BatonProcess(tmp_path_factory.mktemp("baton"), model_url=stand_in.url, agents=AGENTS) as process:
        yield process


@pytest.fixture(scope="module")
def strict(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("baton")
    limits = {
        "BATON_REQUEST_SECONDS": str(DEADLINE),
        "BATON_MAX_STREAMS": "4",
        "BATON_MAX_BODY_BYTES": "1000000",
    }
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=limits) as process:
        yield process


def connected(server: BatonProcess, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(sent)
    return connection


def head(*lines: str, path: str = "/api/sessions", method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def answer(connection: socket.socket, until: bytes | None = None) -> bytes:
    """The bytes that the server sends until it closes, or until these bytes end it."""
    received = b""
    while not (until and received.endswith(until)) and (piece := connection.recv(65_536)):
        received += piece
    return received


def ping(server: BatonProcess) -> bool:
    return requests.get(f"{server.url}/api/ping", timeout=5).ok


WHOLE_HEAD = head("Content-Type: application/json", "Content-Length: 1000")
DRIBBLES = {
    "nothing": (b"", b""),
    "half a head": (b"GET /api/pi", b"n"),
    "half a body": (WHOLE_HEAD, b" "),
    "both": (b"GET /api/ping HTTP/1.1\r\nHost: localhost\r\nX-A: b", b"b"),
}


@pytest.mark.parametrize("kind", DRIBBLES)
def test_the_server_answers_while_many_clients_send_byte_by_byte(patient: BatonProcess, kind: str) -> None:
    begun, more = DRIBBLES[kind]
    with ExitStack() as held:
        slow = [held.enter_context(closing(connected(patient, begun))) for _ in range(HELD)]
        for connection in slow:
            connection.sendall(more)
        for _ in range(5):
            assert ping(patient)
            made = requests.post(f"{patient.url}/api/sessions", json={}, timeout=5)
            assert made.status_code == 200, made.text


def test_more_slow_clients_than_connections_push_out_the_oldest_of_them(strict: BatonProcess) -> None:
    with ExitStack() as held:
        for _ in range(HELD):
            held.enter_context(closing(connected(strict, b"GET /api/pi")))
        assert ping(strict)


@pytest.mark.parametrize(
    ("begun", "more"), [(b"GET /api/ping HTTP/1.1\r\nX-A: ", b"a"), (WHOLE_HEAD, b" ")], ids=["head", "body"]
)
def test_the_deadline_is_for_the_whole_request_not_for_each_byte(
    strict: BatonProcess, begun: bytes, more: bytes
) -> None:
    """The client never stops sending, so no limit for a single read would end it."""
    with closing(connected(strict, begun)) as connection:
        connection.settimeout(0.1)
        received = b""
        for _ in itertools.count():
            try:
                connection.sendall(more)
            except OSError:
                break
            try:
                received += (data := connection.recv(1000))
                if not data:
                    break
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408 ")
    refusal = json.loads(received.partition(b"\r\n\r\n")[2])
    assert refusal["code"] == "request_timeout"
    assert refusal["message"] == refusal["error"]


def test_a_client_that_is_slow_but_in_time_is_served(patient: BatonProcess) -> None:
    body = json.dumps({"permissions": {}}).encode().ljust(BODY)
    with closing(connected(patient, head("Content-Type: application/json", f"Content-Length: {BODY}"))) as it:
        it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, BODY, 1000):
            it.sendall(body[start : start + 1000])
            assert start % 50_000 or ping(patient)
        assert it.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_arrives_whole(patient: BatonProcess) -> None:
    content = "x" * 4_000_000
    session = requests.post(f"{patient.url}/api/sessions", json={}, timeout=30).json()["id"]
    address = f"{patient.url}/api/sessions/{session}"
    message = {"message": {"role": "user", "content": content}}
    added = requests.post(f"{address}/messages", json=message, timeout=60)
    assert added.ok, added.text
    assert content in requests.get(address, timeout=60).text


def test_requests_that_arrive_together_are_answered_one_after_the_other(patient: BatonProcess) -> None:
    one = head(method="GET", path="/api/ping")
    last = head("Connection: close", method="GET", path="/api/ping")
    with closing(connected(patient, one + one + last)) as connection:
        assert answer(connection).count(b"HTTP/1.1 200 ") == 3


def test_a_kept_connection_has_the_deadline_for_each_of_its_requests(strict: BatonProcess) -> None:
    with closing(connected(strict, head(method="GET", path="/api/ping"))) as connection:
        assert answer(connection, until=b'{"status":"ok"}\n').startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /api/pi")
        assert answer(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(patient: BatonProcess) -> None:
    asked = head("Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue")
    with closing(connected(patient, asked)) as connection:
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert b"HTTP/1.1 200 " in connection.recv(10_000)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 1000001"], 413),
        (["Transfer-Encoding: chunked"], 411),
        (["Content-Length: 1", "Content-Length: 2"], 400),
    ],
)
def test_a_body_that_is_refused_is_not_waited_for(
    strict: BatonProcess, lines: list[str], status: int
) -> None:
    with closing(connected(strict, head("Content-Type: application/json", *lines))) as connection:
        assert answer(connection).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_head_without_an_end_is_refused(patient: BatonProcess) -> None:
    with closing(connected(patient)) as connection:
        lines = b"GET /api/ping HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000
        threading.Thread(target=_send_quietly, args=(connection, lines), daemon=True).start()
        assert answer(connection).startswith(b"HTTP/1.1 431 ")


def _send_quietly(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return


def test_clients_that_keep_their_side_open_after_the_last_answer_hold_nobody_up(strict: BatonProcess) -> None:
    """Each would stop the accepting thread for two seconds."""
    asked = head("Connection: close", method="GET", path="/api/ping")
    with ExitStack() as held:
        for _ in range(30):
            connection = held.enter_context(closing(connected(strict, asked)))
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
        assert ping(strict)


def test_a_stop_does_not_wait_for_half_sent_requests(stand_in: OfflineServer, tmp_path: Path) -> None:
    with (
        BatonProcess(tmp_path, model_url=stand_in.url, agents=AGENTS) as server,
        closing(connected(server, b"GET /api/pi")),
    ):
        assert ping(server)
        eventually(lambda: server.worker_pids(), "the worker is up")
        assert server.stop() == 0
        assert "WORKER TIMEOUT" not in server.log()
