"""A bash that goes on between its commands, as a terminal does."""

from __future__ import annotations

import os
import secrets
import selectors
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.agent.live_output import LiveOutput
from app.agent.tools.processes import Command, Process

MOST_BYTES: Final = 100 * 1024
"""Of one command's output: the end of it is kept."""

_MOST_TOLD: Final = 1 << 20  # bytes of what bash says after a command
_TOLD: Final = 77  # the descriptor that bash says it on, which no command has
_START: Final = "exec {told}>&2 2>&1\n"
_COMMAND: Final = (
    "eval {command} </dev/null {told}>&-; "
    'builtin printf \'{word}\\0%s\\0%s\\0\' "$?" "$PWD" >&{told}; '
    "/usr/bin/env -0 >&{told} 2>/dev/null; builtin printf '{word}\\0' >&{told}\n"
)


@dataclass(frozen=True, slots=True)
class Answered:
    """`status` is the command's; `exported` are all variables that bash passes on, None if it can't say."""

    status: int
    directory: str
    exported: Mapping[str, str] | None


class BashProcess(Process):
    """What `Process` says goes for this one: one thread asks and must call `end`, any thread may interrupt."""

    def __init__(self, command: Command) -> None:
        """`command` starts a bash, fed, with its error output apart. Raises OSError."""
        self._unwritten = b""
        self._is_cut = False
        super().__init__(command, kept=0)
        stdin = self._popen.stdin
        if stdin is None:
            raise RuntimeError("bash was started without a pipe")
        self._input = stdin.fileno()
        os.set_blocking(self._input, False)
        self._send(_START.format(told=_TOLD))

    @property
    def is_alive(self) -> bool:
        if not self._exited:
            self._look(0)
        return not self._exited

    @property
    def is_cut(self) -> bool:
        """Whether the output of the last command had a beginning that was not kept."""
        return self._is_cut

    def ask(self, command: str, *, timeout: float, live: LiveOutput | None) -> Answered | None:
        """None if bash has ended, was interrupted or is out of time: then this process is of no more use. The output is
        that of this command, and of what earlier ones have left at work."""
        self._output.clear()
        self._errors.clear()
        self._is_cut, self._live = False, live
        word = secrets.token_hex(16)
        end = f"{word}\0".encode()
        self._send(_COMMAND.format(command=shlex.quote(command), told=_TOLD, word=word))
        deadline = time.monotonic() + timeout
        while not self._exited and not self._errors.endswith(end):
            left = deadline - time.monotonic()
            due = live.due if live is not None else None
            if left <= 0 or self._look(left if due is None else min(left, due)):
                return None
            if live is not None:
                live.flush()
        self._drain()
        self._live = None
        _, found, told = bytes(self._errors).partition(end)
        if not found or not told.endswith(end):
            return None
        status, directory, *variables = told.removesuffix(end).removesuffix(b"\0").split(b"\0")
        exported = dict(one.partition("=")[::2] for one in map(os.fsdecode, variables))
        return Answered(int(status), os.fsdecode(directory), exported or None)

    def _send(self, text: str) -> None:
        if not self._unwritten:
            self._selector.register(self._input, selectors.EVENT_WRITE)
        self._unwritten += text.encode("utf-8", "surrogateescape")

    def _read(self, pipe: int) -> bytes | None:
        """As of every pipe: empty for nothing any more, here to be written."""
        if pipe != self._input:
            return super()._read(pipe)
        try:
            self._unwritten = self._unwritten[os.write(pipe, self._unwritten) :]
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self._unwritten = b""
        return None if self._unwritten else b""

    def _keep(self, kept: bytearray, data: bytes) -> None:
        kept += data
        if kept is self._output and len(kept) > MOST_BYTES:
            del kept[:-MOST_BYTES]
            self._is_cut = True
        del kept[_MOST_TOLD:]
