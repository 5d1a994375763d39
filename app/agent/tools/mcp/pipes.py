"""A tool server that is a process: its messages come and go over its pipes, one a line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process
from mcp.client.stdio import get_default_environment
from mcp.os.posix.utilities import terminate_posix_process_tree
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage

from app.agent.tools.mcp.json_rpc import JsonRpcMessages
from app.agent.tools.processes import Command

log = logging.getLogger(__name__)

MAX_LINE: Final = 32 << 20  # bytes; a result may hold pictures
GRACE: Final = 2.0  # seconds that it has to end by itself, and as many after a SIGTERM
LAST_WORDS: Final = 0.2  # seconds for the rest of its errors, when it has ended

_MAX_UNENDED: Final = 1 << 20  # bytes of a message that may come without the end of its line
_TAIL: Final = 4096  # bytes of what it wrote to its errors
_MAX_WORDS: Final = 500  # characters of its last line
_POLL: Final = 0.01

_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(slots=True)
class Lines:
    """Cuts what a process writes into lines. A line that is too long is given out once, cut: it can't be read then,
    and the call that waits for it learns that."""

    _rest: bytearray = field(default_factory=bytearray)
    _skips: bool = False

    def feed(self, data: bytes) -> Iterator[str]:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            yield from self._end(piece)
        self._rest += rest
        if len(self._rest) > MAX_LINE and not self._skips:
            yield self._text(self._rest[:MAX_LINE])
            self._skips = True
        if self._skips:
            self._rest.clear()

    def unended(self) -> str:
        """The part of the last line that has come, if it may be a whole message."""
        rest = self._rest
        return self._text(rest) if len(rest) <= _MAX_UNENDED and rest.rstrip().endswith(b"}") else ""

    def drop(self) -> None:
        self._rest.clear()

    def _end(self, piece: bytes) -> Iterator[str]:
        line, self._rest = self._rest + piece, bytearray()
        if self._skips:
            self._skips = False
        elif line.strip():
            yield self._text(line)

    @staticmethod
    def _text(line: bytes | bytearray) -> str:
        return line.decode("utf-8", "replace")


@dataclass(slots=True)
class LastWords:
    """The end of what a process wrote to its errors, and how it ended."""

    status: int | None = None
    _tail: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-_TAIL]

    @property
    def line(self) -> str:
        """The last line that says something."""
        lines = self._tail.decode("utf-8", "replace").replace("\0", "\ufffd").splitlines()
        return next((line.strip()[:_MAX_WORDS] for line in reversed(lines) if line.strip()), "")


@asynccontextmanager
async def open_pipes(
    command: Command, messages: JsonRpcMessages, last: LastWords
) -> AsyncIterator[tuple[Any, Any]]:
    """Starts the process; ends it, with its group, when it is left. Raises OSError, or ValueError for words that no
    command can have."""
    process = await anyio.open_process(
        command.arguments,
        env={**get_default_environment(), **command.environment},
        cwd=command.working_dir,
        start_new_session=True,
    )
    # No await from here to the task group: a cancel there would leave the process behind.
    said, heard = anyio.create_memory_object_stream[SessionMessage](0)
    outgoing, queued = anyio.create_memory_object_stream[SessionMessage](0)
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - they are pipes by default
    errors_read = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read, process.stdout, said, messages)
        tasks.start_soon(_remember, process.stderr, last, errors_read)
        tasks.start_soon(_write, process, queued, said, messages)
        try:
            yield heard, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                heard.close()
                outgoing.close()
                await _end(process)
                last.status = process.returncode
                with anyio.move_on_after(LAST_WORDS):  # unless a child holds it, which is ended only now
                    await errors_read.wait()
            tasks.cancel_scope.cancel()
    for stream in (said, queued, process.stdout, process.stderr):
        with suppress(*_GONE):
            await stream.aclose()


async def _read(stdout: ByteReceiveStream, said: Any, messages: JsonRpcMessages) -> None:
    """Reads on when nobody listens any more: a full pipe would keep the process from its end."""
    lines = Lines()
    async with said:
        with suppress(anyio.EndOfStream, *_GONE):
            async for data in stdout:
                for line in lines.feed(data):
                    await _pass_on(messages.heard(line), said)
                if (text := lines.unended()) and messages.is_whole(text):
                    lines.drop()
                    await _pass_on(messages.heard(text), said)
            await _pass_on(messages.heard(lines.unended()), said)


async def _pass_on(found: list[JSONRPCMessage], said: Any) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        for message in found:
            await said.send(SessionMessage(message))


async def _remember(stderr: ByteReceiveStream, last: LastWords, done: anyio.Event) -> None:
    with suppress(anyio.EndOfStream, *_GONE):
        async for data in stderr:
            last.feed(data)
            log.debug("a tool server's errors: %s", data.decode("utf-8", "replace").rstrip())
    done.set()


async def _write(process: Process, queued: Any, said: Any, messages: JsonRpcMessages) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe by default
    try:
        async with queued:
            async for item in queued:
                messages.sent(item.message)
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(line.encode() + b"\n")
    except _GONE:
        await said.aclose()  # calls that wait learn that there is no connection any more


async def _end(process: Process) -> None:
    """Its input ends, and so should it; else its group is told to, and killed at last."""
    if process.stdin is not None:
        with suppress(*_GONE):
            await process.stdin.aclose()
    if not await _has_ended(process):
        await terminate_posix_process_tree(process, GRACE)
        if not await _has_ended(process):
            log.warning("a tool server's process %d can't be killed", process.pid)


async def _has_ended(process: Process) -> bool:
    """Looks instead of waiting for it: that would also wait for children that hold its pipes."""
    with anyio.move_on_after(GRACE):
        while process.returncode is None:
            await anyio.sleep(_POLL)
    return process.returncode is not None
