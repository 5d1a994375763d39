"""The transport beneath the Anthropic client: pooled connections, whose every wait another thread can end."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import httpx2

from app.agent.anthropic.http.framing import ProtocolError, ResponseBody, ResponseHead, body_for, request_head
from app.agent.anthropic.http.interrupt import Interrupt, Interrupted
from app.agent.anthropic.http.pool import Pool
from app.agent.anthropic.http.pump import Pump, Reading
from app.agent.anthropic.http.route import Route, connect
from app.agent.anthropic.http.socket_connection import SocketConnection

__all__ = [
    "Consumer",
    "Interrupt",
    "Interrupted",
    "ModelTransport",
    "Reading",
    "RequestForm",
    "interruptible",
]

# The SDK's calls have no room for an argument of ours, so the one at hand travels with the calling context.
_interrupt: ContextVar[Interrupt] = ContextVar("interrupt")
_consumer: ContextVar[Consumer | None] = ContextVar("consumer", default=None)

# How long an answer's end is waited for once its reader has all that it wanted.
_GRACE_SECONDS: Final = 0.05


@contextmanager
def interruptible(interrupt: Interrupt, consumer: Consumer | None = None) -> Iterator[None]:
    """A request that this thread begins inside is ended by that interrupt, its answer's body included; while that
    is read, the consumer is asked first."""
    tokens = _interrupt.set(interrupt), _consumer.set(consumer)
    try:
        yield
    finally:
        _interrupt.reset(tokens[0])
        _consumer.reset(tokens[1])


class Consumer(Protocol):
    """Takes parts of an answer's body for its reader, so that they wake nobody."""

    @property
    def ready(self) -> bool:
        """May `take` be called for what comes next? Asked on the reader's thread."""
        ...

    def take(self, part: bytes) -> bool:
        """Called on another thread, while the reader waits; it must not block. False: the reader goes on, with an
        empty part. An error in it is raised at the reader's."""
        ...


_OF_ONE_REQUEST: Final = frozenset({b"content-length", b"cookie"})


@dataclass(frozen=True, slots=True)
class RequestForm:
    """A request without its body: the head that further requests of its kind share."""

    request: httpx2.Request  # one of them
    route: Route
    head: bytes  # without its length, and without the blank line behind it

    @classmethod
    def of(cls, request: httpx2.Request) -> RequestForm:
        """The proxy is the one that the environment names now. UnsupportedProtocol, ProtocolError."""
        if "transfer-encoding" in request.headers:
            raise httpx2.UnsupportedProtocol("a request's body must have a length")
        route = Route.to(request.url)
        own = [one for one in request.headers.raw if one[0].lower() not in _OF_ONE_REQUEST]
        head = request_head(request.method.encode("ascii"), route.target(request.url), [*own, *route.headers])
        return cls(request, route, head.removesuffix(b"\r\n"))

    def message(self, body: bytes) -> bytes:
        """The bytes of a whole request."""
        return b"%bContent-Length: %d\r\n\r\n%b" % (self.head, len(body), body)

    def time_out(self, name: str) -> float | None:
        seconds: float | None = self.request.extensions.get("timeout", {}).get(name)
        return seconds


class ModelTransport(httpx2.BaseTransport):
    """Serves all threads of the process that made it; to be made after a fork.

    An idle connection is kept for `keep_alive` seconds, which should be longer than a tool usually runs. The
    request's `read` time-out is for the answer's head; between two parts of its body only `stall_timeout`
    seconds may pass. `reading` is entered around each round of what consumers take. A request is sent twice
    only if it failed on a connection from the pool before all of it was out: nobody can have acted on it.
    """

    def __init__(
        self,
        *,
        stall_timeout: float = 120.0,
        keep_alive: float = 300.0,
        max_idle: int = 500,
        reading: Reading = nullcontext,
    ) -> None:
        self._stall_timeout = stall_timeout
        self._pool = Pool(keep_alive, max_idle)
        self._pump = Pump(reading)
        self._tls_context: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        interrupt = _interrupt.get(None) or Interrupt()
        with _in_plain_words(interrupt):
            return self._exchange(RequestForm.of(request), request.read(), interrupt, _consumer.get())

    def send(
        self, form: RequestForm, body: bytes, interrupt: Interrupt, consumer: Consumer | None
    ) -> httpx2.Response:
        """The answer to a request of that form, as soon as its head is there. httpx2's errors."""
        with _in_plain_words(interrupt):
            return self._exchange(form, body, interrupt, consumer)

    def close(self) -> None:
        self._pump.close()
        self._pool.close()

    def _exchange(
        self, form: RequestForm, sent: bytes, interrupt: Interrupt, consumer: Consumer | None
    ) -> httpx2.Response:
        connection = self._send(form, sent, interrupt)
        with interrupt.closing_on_error(connection):
            connection.wait_at_most(form.time_out("read"))
            head, arrived = connection.receive_head()
            body = body_for(form.request.method.encode("ascii"), head)
            connection.wait_at_most(self._stall_timeout)
        return httpx2.Response(
            head.status,
            headers=head.headers,
            stream=_Answer(
                connection,
                head,
                body,
                arrived,
                interrupt,
                partial(self._pool.give, form.route),
                self._wait_for_more(connection, body, consumer),
            ),
            request=form.request,
            extensions={"http_version": head.version, "reason_phrase": head.reason},
        )

    def _wait_for_more(
        self, connection: SocketConnection, body: ResponseBody, consumer: Consumer | None
    ) -> Callable[[], bytes | None]:
        """How the answer's reader gets the next bytes: b"" when the peer has closed, None when the consumer has
        taken them."""
        closed = False

        def take(data: bytes) -> bool:
            nonlocal closed
            closed = not data
            if closed:
                return False
            part = body.feed(data)
            wants_more = not part or (consumer is not None and consumer.take(part))
            return wants_more and not body.done

        def wait() -> bytes | None:
            if consumer is None or not consumer.ready:
                return connection.receive()
            self._pump.read(connection, take, stall_timeout=self._stall_timeout)
            return b"" if closed else None

        return wait

    def _send(self, form: RequestForm, body: bytes, interrupt: Interrupt) -> SocketConnection:
        """A connection on which the request is on its way."""
        route, message = form.route, form.message(body)
        if idle := self._pool.take(route):
            try:
                with interrupt.closing_on_error(idle):
                    interrupt.watch(idle.socket)
                    idle.wait_at_most(form.time_out("write"))
                    idle.send(message)
                return idle
            except httpx2.WriteError:
                pass  # it died in the pool, unnoticed till now
        connection = connect(route, form.time_out("connect"), self._tls, interrupt)
        with interrupt.closing_on_error(connection):
            connection.wait_at_most(form.time_out("write"))
            try:
                connection.send(message)
            except httpx2.WriteError:
                pass  # there may be an answer all the same: that the request is too large, for one
        return connection

    def _tls(self) -> ssl.SSLContext:
        """Trusts whom the system trusts, or SSL_CERT_FILE and SSL_CERT_DIR. Made when it is first needed,
        because that takes a tenth of a second."""
        with self._tls_lock:
            if self._tls_context is None:
                self._tls_context = httpx2.create_ssl_context()
                self._tls_context.set_alpn_protocols(["http/1.1"])
            return self._tls_context


@contextmanager
def _in_plain_words(interrupt: Interrupt) -> Iterator[None]:
    """Whatever a socket says once it has been shut down, the reason is the interrupt."""
    try:
        yield
    except (httpx2.TransportError, ProtocolError) as error:
        if interrupt.requested:
            raise Interrupted("interrupted") from error
        if isinstance(error, ProtocolError):
            raise httpx2.RemoteProtocolError(str(error)) from error
        raise


class _Answer(httpx2.SyncByteStream):
    """The body of a response. Owns the connection until it is closed, then gives it back or closes it."""

    def __init__(
        self,
        connection: SocketConnection,
        head: ResponseHead,
        body: ResponseBody,
        arrived: bytes,
        interrupt: Interrupt,
        give_back: Callable[[SocketConnection], None],
        wait: Callable[[], bytes | None],
    ) -> None:
        self._connection: SocketConnection | None = connection
        self._keeps_alive = head.keeps_alive
        self._body = body
        self._arrived: bytes | None = arrived
        self._interrupt = interrupt
        self._give_back = give_back
        self._wait = wait
        self._failed = False

    def __iter__(self) -> Iterator[bytes]:
        with _in_plain_words(self._interrupt):
            try:
                yield from self._payloads()
            except Exception:
                self._failed = True
                raise
        self.close()

    def _payloads(self) -> Iterator[bytes]:
        """Everything that arrived at once comes as one piece, whatever chunks it was sent in; an empty one says that
        the consumer wants its reader."""
        body, data = self._body, self._arrived
        while self._connection is not None:
            if data is None:
                yield b""
            elif payload := body.feed(data):
                yield payload
            if body.done:
                return
            data = self._wait()
            if data == b"":
                body.end()
                return

    def close(self) -> None:
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        if not self._body.done and not self._failed:
            self._await_end(connection)
        if self._interrupt.release() and self._keeps_alive and self._body.reusable:
            self._give_back(connection)
        else:
            connection.close()

    def _await_end(self, connection: SocketConnection) -> None:
        """A reader that has its last event leaves; the few bytes that end the body may be just behind, and a
        connection is worth a short wait."""
        try:
            connection.wait_at_most(_GRACE_SECONDS)
            self._body.feed(connection.receive())
        except (httpx2.TransportError, ProtocolError):
            pass
