"""Behaviour that only a real server on a real socket shows: how bodies arrive, and that refused ones spoil nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess

LIMIT = 100_000
TIMEOUT = 30.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    """A server that takes small bodies only; no test of this module starts a run."""
    directory = tmp_path_factory.mktemp("small")
    settings = {"BATON_MAX_BODY_BYTES": str(LIMIT)}
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=settings) as process:
        yield process
        assert "Traceback" not in process.log(), "bad input is not the server's failure"


class Wire:
    """A connection on which one writes what one likes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._answers = self._socket.makefile("rb")

    def send(self, *parts: bytes) -> None:
        try:
            self._socket.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was said

    def request(self, line: str, *headers: str, body: bytes = b"") -> None:
        head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *headers, "", ""])
        self.send(head.encode("latin-1"), body)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON; (0, {}, None) if the connection was closed instead."""
        status = self._answers.readline().split()
        if not status:
            return 0, {}, None
        headers: dict[str, str] = {}
        while (line := self._answers.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        raw = self._answers.read(int(headers["content-length"]))
        return int(status[1]), headers, json.loads(raw) if "json" in headers.get("content-type", "") else raw

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@pytest.fixture
def wire(small: BatonProcess) -> Iterator[Wire]:
    one = Wire(small.port)
    yield one
    one.close()


def assert_still_well(small: BatonProcess) -> None:
    fresh = Wire(small.port)
    fresh.request("GET /api/ping")
    assert fresh.answer()[0] == 200
    fresh.close()


CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


def test_a_chunked_body_is_411(wire: Wire, small: BatonProcess) -> None:
    headers = ("Transfer-Encoding: chunked", "Content-Type: application/json")
    wire.request("POST /api/sessions", *headers, body=CHUNKED)
    status, _, body = wire.answer()
    assert status == 411
    assert "Content-Length" in body["message"]
    assert_still_well(small)


def test_a_body_past_the_limit_is_413_though_it_was_all_sent(wire: Wire, small: BatonProcess) -> None:
    body = b" " * (LIMIT + 1)
    headers = (f"Content-Length: {len(body)}", "Content-Type: application/json")
    wire.request("POST /api/sessions", *headers, body=body)
    status, _, answered = wire.answer()
    assert (status, answered["code"]) == (413, "request_too_large")
    assert_still_well(small)


def test_a_body_past_the_limit_is_413_before_a_byte_of_it_came(wire: Wire, small: BatonProcess) -> None:
    wire.request("POST /api/sessions", "Content-Length: 99999999999", "Content-Type: application/json")
    status, _, answered = wire.answer()
    assert (status, answered["code"]) == (413, "request_too_large")
    assert_still_well(small)


def test_a_body_at_the_limit_is_read(wire: Wire) -> None:
    body = b"{}" + b" " * (LIMIT - 2)
    headers = (f"Content-Length: {len(body)}", "Content-Type: application/json")
    wire.request("POST /api/sessions", *headers, body=body)
    assert wire.answer()[0] == 200


@pytest.mark.parametrize(
    "path", ["/api/sessions", "/api/sessions/x/tools/toggle", "/api/sessions/x/title", "/no"]
)
def test_what_follows_a_refused_body_on_the_same_connection_is_understood(wire: Wire, path: str) -> None:
    """A body that was refused unread must not be taken for the next request."""
    smuggled = b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\n\r\n"
    wire.request(
        f"POST {path}", f"Content-Length: {len(smuggled)}", "Content-Type: text/plain", body=smuggled
    )
    assert 400 <= wire.answer()[0] < 500
    wire.request("GET /api/ping")
    status, _, body = wire.answer()
    assert (status, body) in [(200, {"status": "ok"}), (0, None)]


@pytest.mark.parametrize(
    "line",
    [
        "GET /api/sessions/%00",
        "GET /api/sessions/%ff%fe",
        "GET /api/sessions/..%2f..%2fetc%2fpasswd",
        "GET /api/agents/../../etc/passwd",
        "GET /api/agents/%2e%2e%2fconftest",
        f"GET /api/runs/{'a' * 4000}",
        "GET /api/runs/%0d%0aSet-Cookie:%20a=b",
    ],
)
def test_strange_paths_are_404(wire: Wire, small: BatonProcess, line: str) -> None:
    wire.request(line)
    status, headers, body = wire.answer()
    assert status == 404
    assert body["code"]
    assert "set-cookie" not in headers
    assert_still_well(small)


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO"])
def test_a_client_cannot_choose_what_its_path_means(wire: Wire, name: str) -> None:
    """A proxy's rules for paths would be passed by."""
    wire.request("GET /x/api/ping", f"{name}: /x")
    assert wire.answer()[0] == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /api/ping HTTP/9.9\r\n\r\n",
        b"GET /api/ping HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["TLS", "no path", "version", "header", "length", "two lengths", "long line"],
)
def test_what_is_not_http_harms_nobody(wire: Wire, small: BatonProcess, raw: bytes) -> None:
    wire.send(raw)
    assert_still_well(small)


def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(small: BatonProcess) -> None:
    for _ in range(5):
        leaving = Wire(small.port)
        leaving.request(
            "POST /api/sessions", "Content-Length: 500", "Content-Type: application/json", body=b"{"
        )
        leaving.close()
    assert_still_well(small)
