"""Runs a command so that it can't outlive its call, fill the memory, or keep anybody waiting."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.agent.live_output import LiveOutput
from app.agent.model_client import Cancellation
from app.agent.tools.process_family import MARK, Family, commands, has_pidfd
from app.agent.tools.process_mark import STARTING, marking
from app.agent.toolset import OutcomeUnknown

GRACE_SECONDS: Final = 2.0  # from SIGTERM to SIGKILL, and from there to giving up
KEPT_BYTES: Final = 30_000

NOT_STOPPED: Final = "the command can't be stopped and may still be at work"

_MAX_NAMED: Final = 5

_CHUNK: Final = 65_536
_LEFT_IN_PIPE: Final = 16  # chunks: more than a pipe holds
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Command:
    """`input` is what the command can read, or a pipe if it is `fed`; its error output comes with its output, unless
    `errors_apart`. A `caged` one is run by a program that ends with it, and ends it when it is killed."""

    arguments: Sequence[str]
    working_dir: Path
    environment: Mapping[str, str]
    input: bytes = b""
    errors_apart: bool = False
    caged: bool = False
    fed: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a command, and its output. `status` is None if it was stopped before its end, because it was out of
    time or cancelled; `output` is the beginning of what it wrote. `left` are the commands of what it had started,
    and what was still at work when it ended by itself: they were ended then. In a cage nobody can tell."""

    status: int | None
    output: bytes
    cancelled: bool = False
    left: tuple[str, ...] = ()


def exit_words(status: int) -> str:
    """How a command ended, empty for well."""
    if status < 0:
        return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"exit status {status}" if status else ""


def run(
    command: Command,
    *,
    timeout: float | None,
    cancellation: Cancellation,
    kept: int = KEPT_BYTES + 1,
    live: LiveOutput | None = None,
) -> Ended:
    """Runs to the end, or until it is out of time (None: it has any) or cancelled. Its output goes to `live` as it
    comes. Raises OSError if it can't start, OutcomeUnknown if it can't be stopped: then it may still do something."""
    process = Process(command, kept=kept, live=live)
    ended = False
    try:
        with cancellation.calling(process.interrupt):
            ended = process.follow(timeout)
    finally:
        status = process.end()
    if status is None:
        raise OutcomeUnknown(NOT_STOPPED)
    cancelled = not ended and cancellation.is_set()
    return Ended(status if ended else None, process.output(), cancelled, process.left)


def left_words(left: Sequence[str]) -> str:
    """Words about processes that were ended because their command had ended; empty for none."""
    if not left:
        return ""
    named = ", ".join(f"`{one}`" for one in left[:_MAX_NAMED])
    more = f" and {len(left) - _MAX_NAMED} more" if len(left) > _MAX_NAMED else ""
    return f"Still running when the command ended, and stopped with it: {named}{more}."


def _pidfd(pid: int) -> int | None:
    """None where there is no such thing, or no descriptor left: the command has begun by then, and has to be followed
    all the same."""
    try:
        return os.pidfd_open(pid) if has_pidfd() else None
    except OSError:
        return None


class Process:
    """A command that runs. One thread follows it and must call `end`; any thread may interrupt, and read
    the output. A caged command dies with the thread that started it.

    Output is read all the time, so that a flood neither blocks the command nor fills the memory, but only
    the first `kept` bytes stay.
    """

    def __init__(self, command: Command, *, kept: int, live: LiveOutput | None = None) -> None:
        self._family = Family(0, secrets.token_hex(16))
        self._kept = kept
        self._live = live
        self._caged = command.caged
        self._output = bytearray()
        self._errors = bytearray()
        self._pipes: dict[int, bytearray] = {}  # by descriptor, where it is kept what comes out of it
        self._exited = False
        self.left: tuple[str, ...] = ()  # see `Ended`; known from `end` on
        self._closed = False
        self._lock = threading.Lock()  # around the use and the closing of the wake-up pipe
        with ExitStack() as opened:
            self._woken, self._wake = os.pipe()
            opened.callback(os.close, self._woken)
            opened.callback(os.close, self._wake)
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._popen = _start(command, self._family.mark)
            self._family = replace(self._family, leader=self._popen.pid)
            self._adopt(opened)
            self._opened = opened.pop_all()

    def _adopt(self, opened: ExitStack) -> None:
        """Gets hold of what the running command needs; if that fails, the command must not run on."""
        try:
            if self._popen.stdin is not None:
                opened.callback(self._popen.stdin.close)
            for stream, kept in ((self._popen.stdout, self._output), (self._popen.stderr, self._errors)):
                if stream is not None:
                    opened.callback(stream.close)
                    os.set_blocking(stream.fileno(), False)
                    self._pipes[stream.fileno()] = kept
            # Readable when the leader has ended. That does not reap it, which Family relies on.
            self._exit = _pidfd(self._popen.pid)
            if self._exit is not None:
                opened.callback(os.close, self._exit)
            for fd in (*self._pipes, self._woken, self._exit):
                if fd is not None:
                    self._selector.register(fd, selectors.EVENT_READ)
        except BaseException:
            self._family.send_group(signal.SIGKILL)
            self._popen.wait()
            raise

    def follow(self, timeout: float | None = None) -> bool:
        """Reads output until the command has ended (True), was interrupted or is out of time (False)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._exited:
            left = 3600.0 if deadline is None else deadline - time.monotonic()
            due = self._live.due if self._live is not None else None
            if left <= 0 or self._look(min(left, 3600.0 if due is None else due)):
                return False
            if self._live is not None:
                self._live.flush()
        self._drain()
        return True

    def interrupt(self) -> None:
        """Makes `follow` return, now or when it is called."""
        with self._lock:
            if not self._closed:
                os.write(self._wake, b"!")

    def output(self) -> bytes:
        return bytes(self._output)

    def errors(self) -> bytes:
        """The error output, if it was asked for apart from the output."""
        return bytes(self._errors)

    def end(self) -> int | None:
        """Ends the command with all that it started: asks, then kills, then gives up. Idempotent; returns
        the exit status, None if the command can't be killed (it hangs in the kernel)."""
        if not self._closed:
            self._selector.unregister(self._woken)  # nothing interrupts this
            try:
                _ = self._finish(signal.SIGTERM) or self._finish(signal.SIGKILL)
            finally:
                with self._lock:
                    self._closed = True
                    self._opened.close()
        return self._popen.poll()

    def _look(self, seconds: float) -> bool:
        """Waits for something to happen and takes note of it; True if that was an interruption."""
        interrupted = False
        if self._exit is None:  # no descriptor to wait for
            seconds = min(seconds, _LOOK_SECONDS)
            self._exited = self._popen.poll() is not None
        for key, _ in self._selector.select(seconds):
            if key.fd == self._woken:
                interrupted = True
            elif key.fd == self._exit:
                self._exited = True
                self._selector.unregister(key.fd)
            elif self._read(key.fd) == b"":
                self._selector.unregister(key.fd)
        return interrupted

    def _read(self, pipe: int) -> bytes | None:
        """Takes what is there: None for nothing now, empty for nothing any more."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return None
        kept = self._pipes[pipe]
        self._keep(kept, data)
        if self._live is not None and kept is self._output:
            self._live.write(data)
        return data

    def _keep(self, kept: bytearray, data: bytes) -> None:
        kept += data[: max(0, self._kept - len(kept))]

    def _drain(self) -> None:
        """The output that the command still had in the pipe when it ended. Children that go on writing don't count."""
        for pipe in self._pipes:
            for _ in range(_LEFT_IN_PIPE):
                if not self._read(pipe):
                    break

    def _finish(self, number: signal.Signals) -> bool:
        """Signals the processes that are left, newcomers too, until none is or the time is over. The program that
        runs a caged command would kill it at once if it were asked to end, so it is only ever killed."""
        members = self._family.members()
        if self._exited and number is signal.SIGTERM:
            self.left = commands(members)
        asks_each = self._caged and number is signal.SIGTERM
        if members and not asks_each:
            self._family.send_group(number)
        told = {
            member for member in members if (member.pid == self._popen.pid if asks_each else member.in_group)
        }
        deadline = time.monotonic() + GRACE_SECONDS
        while members:
            newcomers = members - told
            for member in newcomers:
                self._family.send(member, number)
            told |= members
            if time.monotonic() >= deadline:
                return False
            self._look(0 if newcomers else _LOOK_SECONDS)  # they may be replaced by their children already
            members = self._family.members()
        return True


def _start(command: Command, mark: str) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() if command.input else open(os.devnull, "w+b") as given:
        given.write(command.input)
        given.seek(0)
        with STARTING, marking(mark):
            return subprocess.Popen(
                command.arguments,
                bufsize=0,
                cwd=command.working_dir,
                env={**command.environment, MARK: mark},
                stdin=subprocess.PIPE if command.fed else given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if command.errors_apart else subprocess.STDOUT,
                start_new_session=True,
            )
