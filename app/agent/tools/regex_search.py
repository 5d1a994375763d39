"""Finds matches of a regular expression without risking the server: see `regex_worker`.

Not by google-re2 (measured with 1.1.20251105) in the server's own process. Its time grows with the text only, but
nothing can interrupt it: `x[xy]{900}z` takes about 11 s on one line of a megabyte, a file may have ten, and neither the
limit of seconds nor a cancel would end it. It refuses patterns that work here (look-around, back references, `a++`),
and needs ten times as long as `re` for short lines (0.20 s of CPU for 200,000 lines; `re`: 0.02 s).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from app.agent.model_client import Cancellation
from app.agent.tools.process_mark import STARTING
from app.agent.toolset import CANCELLED, ToolCancelled
from app.io_wait import READABLE, is_ready

Span = tuple[int, int, int]  # line, start, end; in characters, from 0

SECONDS: Final = 30.0  # for all texts of one search together
_SCRIPT: Final = str(Path(__file__).with_name("regex_worker.py"))


class BadPattern(Exception):
    """The pattern can't be understood; the message says why."""


class TooSlow(Exception):
    """The pattern takes too long on these texts."""


class RegexSearch:
    """One pattern and the process that knows it; a context manager that leaves no process behind.

    Raises ToolCancelled as soon as the run is cancelled. Belongs to one thread.
    """

    def __init__(self, pattern: str, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._deadline = time.monotonic() + SECONDS
        self._pattern = pattern
        with STARTING:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            problem = self._ask(self._pattern.encode("utf-8", "replace"))
            if problem is not None:
                raise BadPattern(problem)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def spans(self, data: bytes) -> list[Span]:
        """The first match of each line, at most a thousand; lines as UTF-8 with surrogate escapes."""
        return [(line, start, end) for line, start, end in self._ask(data)]

    def _ask(self, data: bytes) -> Any:
        pipes = self._process
        if pipes.stdin is None or pipes.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        with self._cancellation.calling(self._process.kill):
            try:
                pipes.stdin.write(len(data).to_bytes(8, "big") + data)
                pipes.stdin.flush()
            except BrokenPipeError:
                pass  # the answer, or its absence, tells more
            ready = is_ready(pipes.stdout, READABLE, within=max(0.0, self._deadline - time.monotonic()))
            line = pipes.stdout.readline() if ready else b""
        if self._cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        if not line:
            raise TooSlow
        return json.loads(line)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # the rest has no reader any more
