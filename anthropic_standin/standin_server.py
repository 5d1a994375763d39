"""The stand-in's server: one thread, one event loop, no third party."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from anthropic_standin.messages_service import MessagesService
from anthropic_standin.prompt_cache import CacheUse
from anthropic_standin.refusal import Json
from anthropic_standin.request_log import RequestLog, Stats
from anthropic_standin.standin_connection import StandinConnection

_BACKLOG = 2048


class OfflineServer:
    """A stand-in for the Anthropic API on a port of its own.

    `start` returns when it listens; `stop` cuts every stream and joins the thread. Everything public may be called
    from any thread, except that `start` and `stop` belong to the thread that made it.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        record: bool = True,
        windows: Mapping[str, int] | None = None,
    ) -> None:
        """`windows` gives models another context window than they have, in tokens."""
        self._address = (host, port)
        self._memory = RequestLog(record=record)
        self._connections: set[StandinConnection] = set()
        self._service = MessagesService(self._memory, self._release, windows=windows)
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it listens; raises `OSError` when the port is not to be had."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="offline-stand-in")
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            return
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def requests(self) -> list[Json]:
        """The last bodies of `POST /v1/messages`; empty without `record`."""
        return self._memory.bodies()

    @property
    def cache_uses(self) -> list[CacheUse]:
        """What the prompt cache did with the last requests that were accepted."""
        return self._memory.cache_uses()

    @property
    def violations(self) -> list[str]:
        """The judge's refusals, each as `status message`."""
        return self._memory.violations()

    def stats(self) -> Stats:
        return self._memory.stats()

    def reset(self) -> None:
        """Forget requests, prompts, violations and how often a script has failed."""
        self._memory.reset()

    def release(self) -> None:
        """Let every held stream go on, as `POST /release` does."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release)

    def wait_until(self, condition: Callable[[Stats], bool], timeout: float = 5.0) -> bool:
        """Wait for the stats to fulfil a condition; whether they did."""
        with self._memory.changed:
            return self._memory.changed.wait_for(lambda: condition(self._memory.stats()), timeout)

    def _release(self) -> int:
        return sum(connection.release() for connection in self._connections)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        host, port = self._address
        try:
            server = await self._loop.create_server(self._connect, host, port, backlog=_BACKLOG)
        except Exception as error:  # for the thread that waits in `start`, whatever it is
            self._failure = error
            self._listening.set()
            return
        self._address = (host, server.sockets[0].getsockname()[1])
        self._listening.set()
        await self._stopping.wait()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        await server.wait_closed()

    def _connect(self) -> StandinConnection:
        return StandinConnection(self._service, self._memory, self._connections)
