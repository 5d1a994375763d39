"""The calls that are under way at one tool server, and the questions that it asks meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from app.agent.tools.mcp.exchange import EXCHANGE, CallDone, CallFailed, CallRefused, Exchange, ServerQuestion
from app.agent.toolset import ToolsetFailed

log = logging.getLogger(__name__)

CLOSED: Final = "the server was closed"

Json = Mapping[str, Any]


class ServerUnavailable(ToolsetFailed):
    """No connection; the message says why."""


@dataclass(eq=False)
class _Call:
    exchange: Exchange
    timeout: asyncio.Timeout
    questions: list[asyncio.Future[tuple[str, Json | None]]] = field(default_factory=list)


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)


class ToolCalls:
    """Everything here is for the thread of the server's event loop.

    `connected` waits for a connection. A call is given up after `seconds` without an answer or a sign of progress.
    `has_served` says that a call was answered since it was last set to False.
    """

    def __init__(self, label: str, seconds: float, connected: Callable[[], Awaitable[Any]]) -> None:
        self.has_served = False
        self._label = label
        self._seconds = seconds
        self._connected = connected
        self._calls: dict[_Call, None] = {}  # the oldest first

    @property
    def at_work(self) -> bool:
        return bool(self._calls)

    async def make(self, exchange: Exchange, name: str, arguments: Json) -> None:
        """Tells the exchange how it ended, whatever happens."""
        call = _Call(exchange, asyncio.timeout(self._seconds))
        _CALL.set(call)
        EXCHANGE.set(exchange)
        self._calls[call] = None
        try:
            async with call.timeout:
                connection = await self._connected()
                if not exchange.begin():
                    raise ServerUnavailable("cancelled")
                result = await connection.call(name, arguments, lambda: self._is_alive(call))
            self.has_served = True
            exchange.tell(CallDone(result))
        except asyncio.CancelledError:
            exchange.tell(CallFailed(CLOSED, exchange.has_left))
            raise
        except CallRefused as refused:
            exchange.tell(CallFailed(str(refused)))
        except Exception as error:
            late = call.timeout.expired()
            words = f"no answer within {self._seconds:g} seconds" if late else words_of(error)
            exchange.tell(CallFailed(words, exchange.has_left))
        finally:
            self._calls.pop(call, None)
            for question in call.questions:
                _settle(question, "cancel", None)

    async def elicit(self, params: Json) -> tuple[str, Json | None]:
        """Puts a server's question to the call that it belongs to.

        Over a pipe nothing says which that is. With calls of several runs under way nobody is asked, as it might be
        the wrong one; those of one run have the same readers, and the oldest is the one that the run waits for.
        """
        call = _CALL.get()
        if call is None:
            runs = {id(one.exchange.run or one) for one in self._calls}
            call = next(iter(self._calls)) if len(runs) == 1 else None
        if call is None or call not in self._calls:
            log.warning("%s asked a question that belongs to no call", self._label)
            return "decline", None
        loop = asyncio.get_running_loop()
        question: asyncio.Future[tuple[str, Json | None]] = loop.create_future()

        def reply(action: str, content: Json | None) -> None:
            try:
                loop.call_soon_threadsafe(_settle, question, action, content)
            except RuntimeError:
                pass  # the loop has ended, and with it the call

        call.questions.append(question)
        call.timeout.reschedule(None)
        call.exchange.tell(ServerQuestion(params, reply))
        answer = await question
        call.questions.remove(question)
        self._is_alive(call)
        return answer

    def _is_alive(self, call: _Call) -> None:
        """Gives it more time, unless it waits for a person and so has any."""
        if not call.timeout.expired() and not call.questions:
            call.timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)


def words_of(error: BaseException) -> str:
    """The first cause in a group of errors, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _settle(question: asyncio.Future[tuple[str, Json | None]], action: str, content: Json | None) -> None:
    if not question.done():
        question.set_result((action, content))
