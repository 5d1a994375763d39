"""gunicorn's threaded worker, with the reading of requests taken off its threads.

gunicorn's own worker reads a request on a thread of its pool and waits there for every byte. As many clients as
there are threads, each with half a request, stop that server. Here the main loop reads all connections at once
without waiting. A thread gets a connection when the whole request is in memory, so it never waits for a client's
bytes. Nor does it wait until a client takes its answer: the main loop sends what is left of it. An answer that hands
itself over (`HandedOver`) gives its thread back, and gets another one when it needs one.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar, Final

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER

from app.http_worker.client_connection import ClientConnection
from app.http_worker.early_refusals import FORM_BYTES, refusal
from app.http_worker.handed_over import HandedOver, Rest
from app.http_worker.stoppable_worker import StoppableWorker

LINGER_SECONDS: Final = 2.0
BODIES_AT_ONCE: Final = 8
"""Number of the largest bodies that may be in memory before they are complete; past that the largest one is refused."""

ANSWERS_BYTES: Final = 268_435_456
"""Bytes of all answers that may wait for clients that don't read; past that the connection that waits longest is
cut."""

_READ_BYTES: Final = 262_144


class RequestWorker(StoppableWorker):
    """Connections that are read are gunicorn's `pending_conns`, oldest first: all have the same time.

    TLS, HTTP/2 and the PROXY protocol are left to gunicorn, which reads them on its threads.
    """

    request_seconds: ClassVar[float] = 60.0
    """From the first byte of a request, or from the connection's beginning, to the last byte of its body."""
    body_bytes: ClassVar[int] = 33_554_432
    file_bytes: ClassVar[int] = 0  # of a file that is uploaded; longer than other bodies, it waits on disk

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[ClientConnection] = deque()
        self._arrived = 0  # bytes of all requests that are not complete
        self._unsent: dict[
            ClientConnection, Future[Any]
        ] = {}  # answered, and not sent whole; the oldest first

    @property
    def _is_plain(self) -> bool:
        cfg = self.cfg
        return not cfg.is_ssl and cfg.proxy_protocol == "off" and cfg.http2_cleartext == "off"

    # ---- called by gunicorn's main loop

    def accept(self, listener: Any) -> None:
        if not self._is_plain:
            super().accept(listener)
            return
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        self._make_room()
        self._read(ClientConnection(self.cfg, sock, client, listener.getsockname(), linger=self.linger))

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """A kept connection's next request begins."""
        if not isinstance(conn, ClientConnection):
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._read(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        if not isinstance(conn, ClientConnection):
            super().on_pending_socket_readable(conn, client)
            return
        try:
            data = conn.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop_reading(conn)
            self._drop(conn)
            return
        conn.received += data
        self._arrived += len(data)
        self._go_on(conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        if isinstance(conn, ClientConnection) and conn.rest is not None:
            rest, conn.rest, conn.parser.mesg = conn.rest, None, None
            rest.begin(partial(self.method_queue.defer, self._wake_answer, rest, conn, bool(fs.result())))
            return
        if isinstance(conn, ClientConnection) and conn.sock.unsent:
            self._send_rest(conn, fs)
            return
        super().finish_request(conn, fs)
        if isinstance(conn, ClientConnection) and conn.received and conn in self.keepalived_conns:
            self.on_client_socket_readable(conn, conn.sock)

    def murder_pending(self) -> None:
        now = time.monotonic()
        while self.pending_conns and self.pending_conns[0].timeout <= now:
            if not isinstance(conn := self.pending_conns[0], ClientConnection):
                super().murder_pending()
                return
            self._refuse(conn, 408)
        while self._unsent and (conn := next(iter(self._unsent))).timeout <= now:
            self._cut_answer(conn)
        while self._lingering and self._lingering[0].timeout <= now:
            self._end_lingering(self._lingering[0])

    def _cap_keepalive(self, deadline: float) -> None:
        """At a stop: a request that is on its way has as long as an idle connection."""
        super()._cap_keepalive(deadline)
        for conn in (*self.pending_conns, *self._unsent):
            conn.timeout = min(conn.timeout, deadline)

    @property
    def idle_connections(self) -> int:
        return super().idle_connections + len(self._lingering) + len(self._unsent)

    # ---- called on a thread

    def handle_request(self, req: Any, conn: Any) -> Any:
        if isinstance(conn, ClientConnection):
            req._expected_100_continue = False  # it was told already
        try:
            return super().handle_request(req, conn)
        except HandedOver as handed:
            conn.rest = handed.rest
            return self.alive and not req.should_close()

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        if isinstance(conn, ClientConnection) and conn.is_cut:
            return False
        return bool(super()._keepalive_after(conn, keepalive))

    # ---- reading

    def _read(self, conn: ClientConnection) -> None:
        conn.sock.setblocking(False)
        conn.initialized = False
        conn.timeout = time.monotonic() + (self.request_seconds if self.alive else STOP_KEEPALIVE_LINGER)
        self.pending_conns.append(conn)
        self._arrived += len(conn.received)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        if conn.received:
            self._go_on(conn)

    def _go_on(self, conn: ClientConnection) -> None:
        self._arrived -= len(conn.received)
        try:
            is_complete = conn.is_complete(self.body_bytes, self.file_bytes + FORM_BYTES)
            on_disk = sum(one.on_disk for one in self.pending_conns) if conn.on_disk else 0
            has_room = on_disk <= BODIES_AT_ONCE * self.file_bytes
        except OSError:  # the disk is full
            is_complete = has_room = False
        self._arrived += len(conn.received)
        if is_complete:
            self._stop_reading(conn)
            self.enqueue_req(conn)
        elif conn.head_is_too_long:
            self._refuse(conn, 431)
        elif not has_room:
            self._refuse(conn, 503)
        elif self._arrived > BODIES_AT_ONCE * self.body_bytes:
            self._refuse(max(self.pending_conns, key=lambda one: len(one.received)), 503)

    def _stop_reading(self, conn: ClientConnection) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        self._arrived -= len(conn.received)

    def _refuse(self, conn: ClientConnection, status: int) -> None:
        """A client that has sent nothing is told nothing."""
        self._stop_reading(conn)
        if not conn.received:
            self._drop(conn)
            return
        conn.say(refusal(status))
        self.nr_conns -= 1
        self.linger(conn)

    def _make_room(self) -> None:
        """Slow clients push out the oldest of them, so that others can connect."""
        while self.nr_conns >= self.worker_connections:
            if self._lingering:
                self._end_lingering(self._lingering[0])
            elif self.pending_conns:
                conn = self.pending_conns[0]
                self._stop_reading(conn)
                conn.say(refusal(408))
                self._drop(conn)
            elif self._unsent:
                self._cut_answer(next(iter(self._unsent)))
            else:
                return

    # ---- answers that their threads have let go of

    def _wake_answer(self, rest: Rest, conn: ClientConnection, keeps: bool) -> None:
        try:
            future = self.tpool.submit(self._send_more, rest, conn, keeps)
        except RuntimeError:  # at a stop, when the pool takes nothing any more
            future = Future()
            future.set_result(self._send_more(rest, conn, keeps))
            self.finish_request(conn, future)
        else:
            future.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def _send_more(self, rest: Rest, conn: ClientConnection, keeps: bool) -> bool:
        """On a thread."""
        try:
            return rest.go_on() and keeps
        except HandedOver as handed:
            conn.rest = handed.rest
            return keeps
        except OSError:
            return False  # the client is gone
        except Exception:
            self.log.exception("an answer could not go on")
            return False

    # ---- sending what a client did not take at once

    def _send_rest(self, conn: ClientConnection, fs: Future[Any]) -> None:
        """The client has as long for the whole of it as for a request. Bytes that it sends meanwhile have to wait."""
        conn.timeout = time.monotonic() + (self.request_seconds if self.alive else STOP_KEEPALIVE_LINGER)
        try:
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, conn))
        except (OSError, ValueError):
            self._drop(conn)
            return
        self._unsent[conn] = fs
        while sum(len(one.sock.unsent) for one in self._unsent) > ANSWERS_BYTES:
            self._cut_answer(next(iter(self._unsent)))

    def _on_writable(self, conn: ClientConnection, _client: socket.socket) -> None:
        try:
            if not conn.sock.send_on():
                return
        except OSError:
            self._cut_answer(conn)
            return
        self.poller.unregister(conn.sock)
        self.finish_request(conn, self._unsent.pop(conn))

    def _cut_answer(self, conn: ClientConnection) -> None:
        self.poller.unregister(conn.sock)
        del self._unsent[conn]
        self._drop(conn)

    # ---- closing

    def linger(self, conn: ClientConnection) -> None:
        """Closes when the client has, or after two seconds: closed with unread bytes, the connection would be reset
        before the client has read its answer. Other connections are served meanwhile."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError):
            conn.close()
            return
        conn.received.clear()
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self._lingering.append(conn)
        self.nr_conns += 1

    def _discard(self, conn: ClientConnection, client: socket.socket) -> None:
        try:
            if client.recv(_READ_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end_lingering(conn)

    def _end_lingering(self, conn: ClientConnection) -> None:
        self.poller.unregister(conn.sock)
        self._lingering.remove(conn)
        self._drop(conn)

    def _drop(self, conn: ClientConnection) -> None:
        self.nr_conns -= 1
        conn.close()
