"""Lines that a person types: with editing and a history on a terminal that can do it, plain ones elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import click

_readline: ModuleType | None
try:
    import readline as _readline
except ImportError:  # a Python that was built without it
    _readline = None

KEPT: Final = 2000
"""Lines of the history that are kept."""


class LineInput:
    """`commands` are completed at the beginning of a line. One for a process: readline is one as well."""

    def __init__(self, history: Path, commands: Sequence[str]) -> None:
        self._history = history
        self._commands = commands
        self._editing = _readline if sys.stdin.isatty() and sys.stdout.isatty() else None
        if self._editing is not None:
            self._set_up(self._editing)

    def _set_up(self, readline: ModuleType) -> None:
        readline.set_auto_history(False)  # answers to questions don't belong there
        readline.set_completer_delims("")
        readline.set_completer(self._complete)
        readline.parse_and_bind("tab: complete")
        try:
            _make_private(self._history)
            readline.read_history_file(self._history)
        except OSError:
            pass  # a history is a convenience; a home that can't be written has none

    def read(self, prompt: str) -> str:
        """A line; one that ends with a backslash goes on in the next one. EOFError at the end of the input. Without
        a terminal no prompt is shown."""
        lines = [self._read_line(prompt)]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1].removesuffix("\\")
            lines.append(self._read_line("… "))
        text = "\n".join(lines).strip()
        if self._editing is not None and text:
            self._remember(self._editing, text.replace("\n", " "))
        return text

    def _read_line(self, prompt: str) -> str:
        if self._editing is not None:
            return input(prompt)
        if sys.stdin.isatty():
            click.echo(prompt, nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def _remember(self, readline: ModuleType, text: str) -> None:
        readline.add_history(text)
        readline.set_history_length(KEPT)
        try:
            readline.append_history_file(1, self._history)
        except OSError:
            pass  # as above

    def _complete(self, typed: str, number: int) -> str | None:
        found = [one for one in self._commands if one.startswith(typed)] if typed.startswith("/") else []
        return found[number] if number < len(found) else None


def history_file(environment: Mapping[str, str]) -> Path:
    """Where programs keep what they remember from one call to the next."""
    state = environment.get("XDG_STATE_HOME") or os.path.join(
        environment.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return Path(state, "baton", "history")


def _make_private(path: Path) -> None:
    """Messages may hold secrets: the file is its user's alone, also if it was made otherwise."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    path.chmod(0o600)
