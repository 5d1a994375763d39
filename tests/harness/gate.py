"""A tool call that stands still until the test lets it go on: it reads from a pipe that nobody writes to yet."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from tests.harness.process import eventually


class Gate:
    """One call at a time may stand before it. `directory` must be one that the session's shell can read."""

    def __init__(self, directory: Path, name: str = "gate") -> None:
        self._pipe = directory / name
        self._end: int | None = None
        os.mkfifo(self._pipe)

    @property
    def call(self) -> str:
        """The text that a user types to make the model call a shell command that stops here."""
        return self._call(self.command)

    def call_behind(self, command: str) -> str:
        """The same, of a shell command that does this first; a second gate's command makes it stop twice."""
        return self._call(f"{command}; {self.command}")

    @property
    def command(self) -> str:
        return f"cat {self._pipe}"

    @property
    def stubborn_call(self) -> str:
        """The same, of a command that has to be killed."""
        return self._call(f"trap '' TERM; cat {self._pipe}")

    def wait_until_reached(self) -> None:
        """Returns when the command is running: only then does the pipe have somebody at its other end."""
        self._end = eventually(self._try_open, "the tool's command has begun", seconds=30)

    def open(self, output: str = "the gate was opened") -> None:
        """Lets the command end; that is what it writes."""
        if self._end is None:
            self.wait_until_reached()
        end, self._end = self._end, None
        assert end is not None
        os.write(end, output.encode())
        os.close(end)

    def close(self) -> None:
        """A gate that the test has left closed must not keep a command waiting."""
        if self._end is not None:
            os.close(self._end)
        self._pipe.unlink(missing_ok=True)

    def _call(self, command: str) -> str:
        return f"[call shell {json.dumps({'cmd': command})}]"

    def _try_open(self) -> int | None:
        try:
            return os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None
