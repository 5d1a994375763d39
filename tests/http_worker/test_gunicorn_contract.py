"""Everything inside gunicorn that the worker, the stream writer and `gunicorn.conf.py` rely on, in one place.

A new version of gunicorn fails here first. Read what has changed, correct the code that relies on it, then this file
and the bounds in `pyproject.toml`.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from typing import Any

import pytest
from gunicorn import util
from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import get_parser, wsgi
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from app.http_worker.client_connection import ClientConnection, ReceivedRequest
from app.http_worker.worker import RequestWorker
from tests.harness.process import ROOT

KNOWN = "27.0."

RELIED_ON: dict[str, tuple[Callable[..., Any], str, str]] = {
    "ThreadWorker.accept": (ThreadWorker.accept, "self listener", "a06fbabe3fdb"),
    "ThreadWorker.on_client_socket_readable": (
        ThreadWorker.on_client_socket_readable,
        "self conn client",
        "f41a9a5e9d82",
    ),
    "ThreadWorker.on_pending_socket_readable": (
        ThreadWorker.on_pending_socket_readable,
        "self conn client",
        "39b3acee312c",
    ),
    "ThreadWorker.finish_request": (ThreadWorker.finish_request, "self conn fs", "c6a1a1f39f11"),
    "ThreadWorker.murder_pending": (ThreadWorker.murder_pending, "self", "00b3959e780e"),
    "ThreadWorker._cap_keepalive": (ThreadWorker._cap_keepalive, "self deadline", "69ef1ddd35fe"),
    "ThreadWorker.handle_request": (ThreadWorker.handle_request, "self req conn", "83829ceefc32"),
    "ThreadWorker._keepalive_after": (ThreadWorker._keepalive_after, "self conn keepalive", "318430685de5"),
    "ThreadWorker.run": (ThreadWorker.run, "self", "fbafdd20400c"),
    "ThreadWorker.handle": (ThreadWorker.handle, "self conn", "e0fcb03f7a3d"),
    "ThreadWorker.enqueue_req": (ThreadWorker.enqueue_req, "self conn", "0077368bd496"),
    "ThreadWorker.wait_for_and_dispatch_events": (
        ThreadWorker.wait_for_and_dispatch_events,
        "self timeout",
        "eac8483c085f",
    ),
    "ThreadWorker.murder_keepalived": (ThreadWorker.murder_keepalived, "self force", "a15c6b724d97"),
    "ThreadWorker.handle_quit": (ThreadWorker.handle_quit, "self sig frame", "499ed93f7086"),
    "ThreadWorker.handle_exit": (ThreadWorker.handle_exit, "self sig frame", "9391483e2579"),
    "TConn.init": (TConn.init, "self", "e4b965c18bcb"),
    "TConn.close": (TConn.close, "self graceful", "eb060afadaaa"),
    "TConn.set_timeout": (TConn.set_timeout, "self", "ee2bae1f4a13"),
    "Unreader.chunk": (Unreader.chunk, "self size_hint", "d2a101be25a3"),
    "Unreader.read": (Unreader.read, "self size read_ahead", "e3154ff73104"),
    "Arbiter.reexec": (Arbiter.reexec, "self", "e52527839f23"),
    "util.write": (util.write, "sock data chunked", "1b6945151bb6"),
    "util.write_chunk": (util.write_chunk, "sock data", "d080e3e8f4c6"),
    "util.close_graceful": (util.close_graceful, "sock timeout max_drain", "cf80cb5c936d"),
}
"""By name: the function, its parameters, and the beginning of the hash of its source. RequestWorker replaces or extends
some of them. It knows when the others call what it replaces, and what they do to a connection before and after."""

ADDRESS = ("127.0.0.1", 8080)
REQUEST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


def fingerprint(function: Callable[..., Any]) -> str:
    """The hash does not see indentation and empty lines."""
    lines = (line.strip() for line in inspect.getsource(function).splitlines())
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()[:12]


def parameters(function: Callable[..., Any]) -> str:
    return " ".join(inspect.signature(function).parameters)


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture
def worker(config: Config) -> Iterator[RequestWorker]:
    made = RequestWorker(1, os.getppid(), [], None, 60, config, logging.getLogger("gunicorn.error"))
    yield made
    made.tmp.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's side and the client's."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


class Written:
    """A socket that keeps each `sendall` by itself."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.pieces.append(bytes(data))

    send = sendall


def received(config: Config, data: bytes) -> Any:
    """The request that gunicorn's parser makes of these bytes."""
    return next(get_parser(config, [data], ADDRESS))


def test_the_installed_version_is_the_one_that_this_file_knows() -> None:
    assert version("gunicorn").startswith(KNOWN)


@pytest.mark.parametrize("name", RELIED_ON)
def test_a_function_of_gunicorn_is_as_it_was(name: str) -> None:
    function, names, source = RELIED_ON[name]
    assert (parameters(function), fingerprint(function)) == (names, source)


def test_every_method_of_gunicorn_that_is_overridden_is_in_the_table() -> None:
    pairs: list[tuple[type, type]] = [
        (RequestWorker, ThreadWorker),
        (ClientConnection, TConn),
        (ReceivedRequest, Unreader),
    ]
    overridden = {
        f"{theirs.__name__}.{name}"
        for ours, theirs in pairs
        for name in vars(ours)
        if name in vars(theirs) and not name.startswith("__")
    }
    assert overridden <= set(RELIED_ON)


def test_a_worker_has_what_ours_reads(worker: RequestWorker) -> None:
    assert isinstance(worker.pending_conns, deque)
    assert isinstance(worker.keepalived_conns, deque)
    assert (worker.nr_conns, worker.worker_connections) == (0, worker.cfg.worker_connections)
    assert worker.poller is None, "made in the worker's process"
    assert worker.alive
    assert STOP_KEEPALIVE_LINGER == 2.0


def test_a_connection_has_what_ours_reads(config: Config, pair: tuple[socket.socket, socket.socket]) -> None:
    conn = TConn(config, pair[0], ADDRESS, ADDRESS)
    assert vars(conn) == {
        "cfg": config,
        "sock": pair[0],
        "client": ADDRESS,
        "server": ADDRESS,
        "timeout": None,
        "parser": None,
        "initialized": False,
        "is_http2": False,
        "data_ready": False,
    }


def test_the_settings_that_decide_whether_a_connection_is_plain_are_there(config: Config) -> None:
    assert not config.is_ssl
    assert (config.proxy_protocol, config.http2_cleartext) == ("off", "off")


def test_one_parser_reads_all_requests_of_a_connection_from_its_unreader(
    config: Config, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = pair
    conn = ClientConnection(config, ours, ADDRESS, ADDRESS, linger=lambda _: None)
    with closing(conn.sock):
        for path in ("/first", "/second"):
            conn.initialized = False
            conn.received += f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode()
            assert conn.is_complete(1000)
            conn.init()
            request = next(conn.parser)
            assert (request.path, request.body.read()) == (path, b"abc")
            assert conn.parser.finish_body(deadline=None)
            assert conn.parser.unreader.buf.getvalue() == b"", "it has read no further"


def test_a_request_knows_whether_the_client_waits_for_100(config: Config) -> None:
    expecting = REQUEST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    for told, pieces in ((False, [b"HTTP/1.1 100 Continue\r\n\r\n"]), (True, [])):
        request = received(config, expecting)
        if told:
            request._expected_100_continue = False
        sock = Written()
        wsgi.create(request, sock, ADDRESS, ADDRESS, config)
        assert sock.pieces == pieces


def test_the_environment_of_a_request_has_its_socket(config: Config) -> None:
    sock = Written()
    _, environ = wsgi.create(received(config, REQUEST), sock, ADDRESS, ADDRESS, config)
    assert environ["gunicorn.socket"] is sock
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_an_answer_is_its_head_and_then_its_chunks_in_a_piece_each(config: Config) -> None:
    """The socket looks for the kind of an answer in the first piece; the stream writer adds chunks of its own between
    two of gunicorn's."""
    sock = Written()
    response, _ = wsgi.create(received(config, REQUEST), sock, ADDRESS, ADDRESS, config)
    response.start_response("200 OK", [("Content-Type", "text/event-stream")])
    for data in (b"twelve bytes", b"", b"3"):
        response.write(data)
    response.close()
    head, *chunks = sock.pieces
    assert head.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Type: text/event-stream\r\n" in head
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert chunks == [b"C\r\ntwelve bytes\r\n", b"1\r\n3\r\n", b"0\r\n\r\n"]


def test_an_answer_of_known_length_says_so_in_its_head(config: Config) -> None:
    sock = Written()
    response, _ = wsgi.create(received(config, REQUEST), sock, ADDRESS, ADDRESS, config)
    response.start_response("200 OK", [("Content-Length", "3")])
    response.write(b"abc")
    response.close()
    head, *body = sock.pieces
    assert b"\r\nContent-Length: 3\r\n" in head
    assert body == [b"abc"]


def test_the_master_has_what_the_settings_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_LOG_LEVEL", "debug")
    assert Config().env_orig["BATON_LOG_LEVEL"] == "debug"
    assert Arbiter.START_CTX == {}, "filled when a master is made"
    application = inspect.getsource(Application)  # of the file: `gunicorn.conf.py` replaces the method
    assert "def chdir(self):" in application
    assert "self.chdir()" in application
    assert Arbiter.LISTENERS == []


def test_a_worker_that_never_came_up_leaves_quietly() -> None:
    """It has no `wsgi` yet. In a process of its own, since the file changes how modules are found."""
    leave = "import runpy; runpy.run_path('gunicorn.conf.py')['worker_exit'](None, object())"
    done = subprocess.run([sys.executable, "-c", leave], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
