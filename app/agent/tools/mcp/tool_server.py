"""A tool server, and the thread that holds the connection to it for as long as anybody may want it.

The loop's thread is started here and not by anyio's `start_blocking_portal`: leaving that waits for the thread without
a limit, entering it waits for the loop, and its thread can't be asked whether it has ended. The refusals when no thread
is to be had, and of calls to a loop that has ended, would remain, so it would save no line.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, TypeVar

from app.agent.model_client import Cancellation
from app.agent.tools.mcp.credentials import Credentials
from app.agent.tools.mcp.exchange import CallFailed, Exchange
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import CLOSED, Json, ServerUnavailable, ToolCalls, words_of
from app.agent.tools.mcp.server_state import AuthorizationMissing, ServerStatus, ServerTimeouts
from app.agent.tools.mcp.vault_access import VaultCredentials, Vaults
from app.distribution import install_command

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_ASK_SECONDS: Final = 20.0  # a person waits for it
_SPARE_SECONDS: Final = 5.0  # for a loop that is busy

State = Literal["starting", "ready", "restarting", "failed", "unauthorized", "closed"]


class ToolServer:
    """Any thread may call its methods. Connecting begins at once; `close` ends it, with its process.

    A connection that is lost is made anew, a few times; a call that was under way then is not repeated, and its
    outcome is unknown. Tools stay listed meanwhile, and new calls wait.
    """

    def __init__(
        self,
        address: ServerAddress,
        patience: ServerTimeouts | None = None,
        vaults: Vaults | None = None,
    ) -> None:
        """ServerUnavailable if the system has no thread for it."""
        self.address = address
        self.instructions = ""
        self.tools: Sequence[Json] = ()
        self._patience = (patience or ServerTimeouts()).of(address.lifecycle)
        self._news = threading.Condition()
        self._state: State = "starting"
        self._failure = ""
        self._failed_at = 0.0
        self._meta: Json = {}
        self._restarts = 0
        self._credentials: Credentials | VaultCredentials = Credentials()
        if vaults is not None and address.vaults is not None:
            self._credentials = VaultCredentials(vaults, address.vaults, address.url)
        # From here on: for the loop's thread.
        self._calls = ToolCalls(address.label, self._patience.call, self._connected)
        self._connection: Any = None
        # The scope of connecting and being connected. Not asyncio's own time-out: its cancel would also cut what
        # puts the server's process to an end.
        self._attempt: Any = None
        self._closing = asyncio.Event()
        self._wanted = asyncio.Event()  # somebody wants a connection, or an end
        self._settled = asyncio.Event()  # there is a connection, or `_down` says why none will come
        self._down = ""
        self._asked = 0  # by `ask`, and not answered yet
        self._again = False  # the connection was ended for a new one
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._work, name=f"mcp-{address.label}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._runner.close()
            raise ServerUnavailable("the system has no thread for it") from error

    # ---- for any thread

    @property
    def is_closed(self) -> bool:
        return self._state == "closed"

    @property
    def has_failed(self) -> bool:
        """It can't be started, or not again."""
        return self._state == "failed"

    @property
    def has_ended(self) -> bool:
        """Its thread and its process are no more."""
        return not self._thread.is_alive()

    @property
    def status(self) -> ServerStatus:
        with self._news:
            match self._state:
                case "closed":
                    return ServerStatus()
                case "unauthorized":
                    return ServerStatus("failed", self._restarts)
                case state:
                    return ServerStatus(state, self._restarts)

    @property
    def refusal(self) -> str:
        """Why the server did not take the last request, if that was for want of a token out of a vault."""
        credentials = self._credentials
        return credentials.refusal if isinstance(credentials, VaultCredentials) else ""

    def masked(self, value: Any) -> Any:
        """Text, or JSON, without the tokens out of vaults that the server was sent."""
        credentials = self._credentials
        return credentials.masked(value) if isinstance(credentials, VaultCredentials) else value

    def wait_until_ready(self, cancellation: Cancellation) -> None:
        """Until the tools are known, for a bounded time. ServerUnavailable, AuthorizationMissing."""
        with cancellation.calling(self._wake), self._news:
            if self._state == "failed" and time.monotonic() - self._failed_at >= self._patience.retry:
                self._state = "starting"
                self._soon(self._wanted.set)
            while self._state == "starting" and not cancellation.is_set():
                self._news.wait()
            if self._state == "unauthorized":
                raise AuthorizationMissing(self._meta, self._failure)
            if self._state not in ("ready", "restarting"):
                raise ServerUnavailable(self._failure or "cancelled")

    def authorize(self, granted: Json) -> None:
        """Connects again, with the tokens that somebody got."""
        with self._news:
            if self._state == "unauthorized":
                self._credentials = Credentials.granted(granted, self._meta)
                self._state = "starting"
                self._soon(self._wanted.set)

    def call(self, name: str, arguments: Json, *, run: object = None) -> Exchange:
        """Begins a call; the exchange tells how it goes. Calls of the same `run` may answer each other's questions."""
        exchange = Exchange(run=run)
        work = self._calls.make(exchange, name, arguments)
        try:
            begun = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            exchange.tell(CallFailed(CLOSED))
        else:
            exchange.stop = begun.cancel
            # It may be ended before its first step, and then tells nothing.
            begun.add_done_callback(lambda _: exchange.tell(CallFailed(CLOSED)))
        return exchange

    def ask(self, work: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """The outcome of `work`, which is given the connection, on the server's own thread. It has 20 seconds at
        most: TimeoutError. ServerUnavailable, and whatever `work` raises."""
        return self._wait_for(self._ask(work))

    def restart(self) -> bool:
        """Ends the connection and the server's process, and connects anew; nobody waits for that here. Calls that
        begin meanwhile wait for the new connection. False if a call is under way: then nothing is done."""
        try:
            return self._wait_for(self._begin_again())
        except TimeoutError:
            return False  # its thread is held up
        except ServerUnavailable:
            return True  # it has ended; whoever wants it next gets a new one

    def begin_close(self) -> None:
        self._soon(self._close)

    def close(self, seconds: float = 10.0) -> None:
        """Ends the connection and the server's process, and waits for that."""
        self.begin_close()
        self._thread.join(seconds)

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def _soon(self, work: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            pass  # it has ended already

    def _wait_for(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            begun = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise ServerUnavailable(CLOSED) from error
        try:
            return begun.result(_ASK_SECONDS + _SPARE_SECONDS)
        except CancelledError as error:
            raise ServerUnavailable(CLOSED) from error

    # ---- the server's own thread

    def _work(self) -> None:
        try:
            with self._runner as runner:
                runner.run(self._live())
        except Exception:
            log.exception("%s broke", self.address.label)
        finally:
            self._enter("closed", CLOSED)

    def _enter(self, state: State, failure: str = "", meta: Json | None = None) -> None:
        if state != "restarting":
            self._down = failure
            self._settled.set()
        with self._news:
            if state == "failed":
                self._failed_at = time.monotonic()
            self._state, self._failure, self._meta = state, failure, meta or {}
            self._news.notify_all()

    def _close(self) -> None:
        self._closing.set()
        self._wanted.set()
        if self._attempt is not None:
            self._attempt.cancel()

    async def _live(self) -> None:
        """Connects, and again, until it is closed."""
        restarts = 0
        while not self._closing.is_set():
            end = await self._connect()
            if self._closing.is_set():
                return
            if self._again:
                self._again, restarts = False, 0
                continue
            restarts = 0 if end.has_served else restarts
            if end.meta is not None:
                self._enter("unauthorized", end.failure, end.meta)
                await self._until_wanted()
            elif (end.was_ready or restarts) and restarts < len(self._patience.restarts):
                self._restarts += 1
                self._enter("restarting", end.failure)
                at_once = end.is_forgotten and not restarts
                longer = 1 + self._patience.jitter * random.random()
                await self._until_wanted(0.0 if at_once else self._patience.restarts[restarts] * longer)
                restarts += 1
            else:
                self._enter("failed", end.failure)
                restarts = 0
                await self._until_wanted()

    async def _connect(self) -> _End:
        """Connects, and stays until the connection is lost, or there is none."""
        try:
            module: Any = await asyncio.to_thread(import_module, "app.agent.tools.mcp.server_connection")
        except ImportError:
            log.debug("tool servers can't be used", exc_info=True)
            return _End(f"tool servers need the package mcp: {install_command('mcp')}")
        except RuntimeError as error:  # no thread to be had
            return _End(str(error))
        self._down, self._calls.has_served, ready = "", False, False
        self._settled.clear()
        failure, meta, forgotten = "", None, False
        try:
            with module.fail_after(self._patience.start) as scope:
                can_end = partial(self._can_end, scope)
                async with module.connect(
                    self.address, self._credentials, self._calls.elicit, can_end
                ) as connection:
                    tools = await connection.list_tools()
                    scope.deadline = math.inf
                    ready = True
                    self._become_ready(connection, tools)
                    try:
                        await self._stay(connection)
                    finally:
                        forgotten = connection.forgotten
        except module.TokenWanted as refused:
            failure, meta = str(refused), refused.meta
        except Exception as error:
            late = scope.cancelled_caught and not ready
            failure = f"no answer within {self._patience.start:g} seconds" if late else words_of(error)
            if ready and not self._closing.is_set() and not self._again:
                log.warning("%s: the connection was lost", self.address.label)
                log.debug("%s: %s", self.address.label, self.masked(failure))
        finally:
            self._attempt = None
            self._lose()
        return _End(failure, ready, self._calls.has_served, meta, forgotten)

    def _can_end(self, scope: Any) -> None:
        """From now on `_close` ends the attempt by its scope."""
        self._attempt = scope
        if self._closing.is_set():
            scope.cancel()

    def _become_ready(self, connection: Any, tools: Sequence[Json]) -> None:
        self.tools, self.instructions = tools, connection.instructions
        self._connection, connection.on_end = connection, self._lose
        self._restarts = 0
        self._enter("ready")

    def _lose(self) -> None:
        """From now on calls wait for the next connection."""
        self._connection = None
        self._settled.clear()

    async def _stay(self, connection: Any) -> None:
        """Until it ends; raises ConnectionError then."""
        while True:
            await connection.news.wait()
            connection.news.clear()
            if connection.ended:
                raise ConnectionError("the connection was lost")
            async with asyncio.timeout(self._patience.start):
                self.tools = await connection.list_tools()

    async def _connected(self) -> Any:
        """The connection, as soon as there is one; ServerUnavailable if none will come."""
        while self._connection is None:
            await self._settled.wait()
            if self._down:
                raise ServerUnavailable(self._down)
        return self._connection

    async def _ask(self, work: Callable[[Any], Awaitable[Answer]]) -> Answer:
        self._asked += 1
        try:
            async with asyncio.timeout(min(self._patience.start, _ASK_SECONDS)):
                return await work(await self._connected())
        finally:
            self._asked -= 1

    async def _begin_again(self) -> bool:
        if self._calls.at_work or self._asked:
            return False
        with self._news:
            if self._state in ("failed", "unauthorized"):
                self._state = "starting"
            elif self._state == "ready":
                self._state = "restarting"
        if self._attempt is not None:
            self._again = True
            self._lose()
            self._attempt.cancel()
        else:
            self._wanted.set()  # it is being started, or waits for a next attempt
        return True

    async def _until_wanted(self, seconds: float | None = None) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            pass
        self._wanted.clear()


@dataclass(frozen=True, slots=True)
class _End:
    """Why there is no connection any more, or none at all."""

    failure: str
    was_ready: bool = False
    has_served: bool = False  # a call at least
    meta: Json | None = None  # how to get a token, if that is what is missing
    is_forgotten: bool = False  # the server does not know our session any more
