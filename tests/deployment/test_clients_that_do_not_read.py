"""Clients that ask and don't take the answer, without a proxy in front of the server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess, eventually

HELD = 170  # more than there are threads, or connections
DEADLINE = 3.0
CONTENT = 4_000_000
ESTABLISHED = "01"


@pytest.fixture(scope="module")
def server(stand_in: OfflineServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("baton")
    limits = {"BATON_REQUEST_SECONDS": str(DEADLINE), "BATON_MAX_STREAMS": "4"}
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=limits) as process:
        yield process


@pytest.fixture(scope="module")
def large(server: BatonProcess) -> str:
    """The path of a session that fills every buffer on the way."""
    session = requests.post(f"{server.url}/api/sessions", json={}, timeout=30).json()["id"]
    path = f"/api/sessions/{session}"
    for _ in range(3):
        message = {"message": {"role": "user", "content": "x" * CONTENT}}
        requests.post(f"{server.url}{path}/messages", json=message, timeout=60).raise_for_status()
    return path


def asked(server: BatonProcess, *paths: str) -> socket.socket:
    """A client with as little room as can be, on a network with small packets."""
    connection = socket.socket()
    connection.settimeout(60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", server.port))
    for path in paths:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def ping(server: BatonProcess) -> bool:
    return requests.get(
        f"{server.url}/api/ping", timeout=25
    ).ok  # less than the 30 s after which the kernel gives such a client up


def test_anybody_is_served_while_nobody_takes_the_largest_public_answer(server: BatonProcess) -> None:
    assert requests.get(f"{server.url}/openapi.json", timeout=60).ok  # built once, before many ask for it
    with ExitStack() as held:
        for _ in range(HELD):
            held.enter_context(closing(asked(server, "/openapi.json")))
        for _ in range(3):
            assert ping(server)


def test_anybody_is_served_while_nobody_takes_many_small_answers(server: BatonProcess) -> None:
    paths = ["/docs/reference.js"] * 300
    with ExitStack() as held:
        for _ in range(40):
            held.enter_context(closing(asked(server, *paths)))
        assert ping(server)


@pytest.mark.parametrize("query", ["", "?pretty"], ids=["in pieces", "as a whole"])
def test_an_answer_that_is_taken_late_is_whole_and_so_is_the_next(
    server: BatonProcess, large: str, query: str
) -> None:
    with closing(HTTPConnection("localhost")) as client:
        client.sock = asked(server)
        client.request("GET", large + query)
        assert ping(server)
        messages = json.loads(client.getresponse().read())["messages"]
        assert [len(one["message"]["content"]) for one in messages] == [CONTENT] * 3
        client.request("GET", "/api/ping")
        assert json.loads(client.getresponse().read()) == {"status": "ok"}


def test_an_answer_that_nobody_takes_is_cut_at_the_deadline(server: BatonProcess, large: str) -> None:
    with closing(asked(server, f"{large}?pretty")) as connection:
        ours = f"0100007F:{connection.getsockname()[1]:04X}"
        theirs = f"0100007F:{server.port:04X}"

        def state() -> str:
            """The server's end of the connection, as the kernel sees it."""
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1:3] == [theirs, ours]:
                    return fields[3]
            return ""

        assert state() == ESTABLISHED
        eventually(lambda: state() != ESTABLISHED, "the server has given the connection up")
