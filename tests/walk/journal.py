"""Tools that write down, in a file, that they took effect: the ledger's account of them is compared with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

from app.agent.tools import registry
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.toolset import Elicitation, Outcome, ToolCancelled, ToolContext, ToolResult

Name = Annotated[str, "What to write down"]


class Journal(FunctionToolset):
    """The toolset. One file and one gate for the whole process; `open_gate` lets calls of `wait` end."""

    category = "journal"
    descriptor = -1
    reached = threading.Event()
    gate = threading.Event()

    def _write(self, name: str) -> ToolResult:
        os.write(self.descriptor, f"{name}\n".encode())
        return ToolResult(f"noted {name}")

    @tool()
    def note(self, name: Name) -> Outcome:
        """Takes effect once."""
        return self._write(name)

    @tool()
    def pay(self, name: Name) -> Outcome:
        """Takes effect once."""

        def go_on(action: str, _content: Mapping[str, Any] | None) -> Outcome:
            return self._write(name) if action == "accept" else ToolResult.error("nothing was paid")

        return Elicitation("Pay?", then=go_on)

    @tool()
    def wait(self, context: ToolContext, name: Name) -> Outcome:
        """Takes effect once."""
        self.reached.set()
        while not self.gate.wait(0.02):
            if context.cancellation.is_set():
                raise ToolCancelled("nothing was noted")
        return self._write(name)


@contextmanager
def installed() -> Iterator[None]:
    """While inside, this process's agents get these tools where their files say `user_prompt`."""
    with mock.patch.object(registry, "UserPromptToolset", Journal):
        yield


def write_to(path: Path) -> None:
    """The file of the tools of this process from now on."""
    if Journal.descriptor >= 0:
        os.close(Journal.descriptor)
    Journal.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def read(path: Path) -> list[str]:
    """The names of what took effect, in order."""
    return path.read_text().split() if path.exists() else []
