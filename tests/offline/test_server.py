"""The stand-in's own side of HTTP: keys, bad requests, its start and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.offline.conversations import NEWEST

KEY = {"x-api-key": "x", "anthropic-version": "2026-10-21"}
BODY = json.dumps({"model": NEWEST, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]})


@pytest.fixture
def connection(server: OfflineServer) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    yield connection
    connection.close()


def ask(
    connection: HTTPConnection, method: str, path: str, body: str | bytes | None, headers: dict[str, str]
) -> tuple[int, Any]:
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_both_kinds_of_key_are_accepted(connection: HTTPConnection) -> None:
    version = {"anthropic-version": "2026-10-21"}
    for key in ({"x-api-key": "x"}, {"Authorization": "Bearer x"}):
        assert ask(connection, "POST", "/v1/messages", BODY, {**version, **key})[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer "}])
def test_nobody_without_a_key_is_answered(connection: HTTPConnection, headers: dict[str, str]) -> None:
    status, body = ask(connection, "POST", "/v1/messages", BODY, headers)
    assert (status, body["error"]["type"]) == (401, "authentication_error")


def test_the_version_is_required(connection: HTTPConnection) -> None:
    status, body = ask(connection, "POST", "/v1/messages", BODY, {"x-api-key": "x"})
    assert (status, body["error"]["message"]) == (400, "anthropic-version: header is required")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (rb'{"model": "\ud800"}', "no low surrogate in string: line 1 column "),
        (b"{", ""),
        (b"", ""),
        (b'{"a": NaN}', ""),
        (b"\xff", ""),
    ],
)
def test_a_body_that_is_not_json_is_a_violation(
    connection: HTTPConnection, server: OfflineServer, body: bytes, reason: str
) -> None:
    status, answer = ask(connection, "POST", "/v1/messages", body, KEY)
    assert status == 400
    assert answer["error"]["message"].startswith(f"The request body is not valid JSON: {reason}")
    assert len(server.violations) == 1


def test_a_body_over_32_mb_is_too_large(connection: HTTPConnection) -> None:
    status, body = ask(connection, "POST", "/v1/messages", b" " * (32 * 1024 * 1024 + 1), KEY)
    assert (status, body["error"]["type"]) == (413, "request_too_large")


def test_an_unknown_path_is_not_found(connection: HTTPConnection) -> None:
    assert ask(connection, "GET", "/v1/nothing", None, KEY)[0] == 404


def test_the_stats_are_served_and_reset(connection: HTTPConnection) -> None:
    ask(connection, "POST", "/v1/messages", "{}", KEY)
    status, stats = ask(connection, "GET", "/stats", None, {})
    assert (status, stats) == (
        200,
        {
            "requests": 1,
            "violations": 1,
            "open_streams": 0,
            "last_violations": ["400 model: Field required"],
        },
    )
    ask(connection, "POST", "/reset", None, {})
    assert ask(connection, "GET", "/stats", None, {})[1]["requests"] == 0


def test_a_request_may_come_in_pieces_and_two_at_once(server: OfflineServer) -> None:
    request = b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n"
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as peer:
        peer.sendall(request[:10])
        peer.sendall(request[10:] + request)
        answers = b""
        while answers.count(b'"requests"') < 2:
            answers += peer.recv(65536)
    assert answers.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    "head", [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_what_cannot_be_read_is_hung_up_on(server: OfflineServer, head: bytes) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as peer:
        peer.sendall(head)
        assert peer.recv(1) == b""


def test_stopping_cuts_the_streams_and_leaves_nothing() -> None:
    before = threading.active_count()
    server = OfflineServer(record=False)
    server.start()
    body = json.loads(BODY) | {"stream": True, "messages": [{"role": "user", "content": "[stall 0]"}]}
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    connection.request("POST", "/v1/messages", json.dumps(body), KEY)
    response = connection.getresponse()
    assert server.stats().open_streams == 1
    assert server.requests == []
    server.stop()
    server.stop()
    assert server.stats().open_streams == 0
    assert threading.active_count() == before
    with pytest.raises(IncompleteRead):
        response.read()
    response.close()
    connection.close()


def test_a_taken_port_is_reported(server: OfflineServer) -> None:
    other = OfflineServer(port=urlsplit(server.url).port or 0)
    with pytest.raises(OSError, match="in use"):
        other.start()


def test_a_port_that_does_not_exist_is_reported() -> None:
    with pytest.raises(OverflowError):
        OfflineServer(port=70_000).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_as_a_process_until_it_is_told_to_stop(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "anthropic_standin", "--no-record", "--die-with-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("offline stand-in on http://127.0.0.1:")
        connection = HTTPConnection(urlsplit(line.split()[-1]).netloc, timeout=5)
        assert ask(connection, "GET", "/stats", None, {})[0] == 200
        connection.close()
        process.send_signal(number)
        assert process.wait(timeout=5) == 0


def test_it_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'anthropic_standin', '--die-with-parent'],"
        " stdout=subprocess.PIPE)\n"
        "sys.stdout.buffer.write(child.stdout.readline())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=10, check=True
    )
    address = urlsplit(done.stdout.split()[-1])
    with pytest.raises(ConnectionError):  # noqa: PT012 - the listener goes within moments, not at once
        while True:
            with socket.create_connection((address.hostname, address.port), timeout=5) as peer:
                peer.settimeout(5)
                if not peer.recv(1):
                    raise ConnectionError
