"""Tools that write down, in a file, that they took effect: the ledger's account of them is compared with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from app.agent.tools import registry
from app.agent.tools.parameters import parameters, text
from app.agent.toolset import Elicitation, Outcome, Tool, ToolCancelled, ToolContext, ToolResult, string


class Journal:
    """The toolset. One file and one gate for the whole process; `open_gate` lets calls of `wait` end."""

    instructions = ""
    descriptor = -1
    reached = threading.Event()
    gate = threading.Event()

    def tools(self) -> Sequence[Tool]:
        return [
            self._tool("note", self._note),
            self._tool("pay", self._pay),
            self._tool("wait", self._wait),
        ]

    def _tool(self, name: str, handler: Any) -> Tool:
        return Tool(
            name=name,
            category="journal",
            description="Takes effect once.",
            parameters=parameters({"name": text("What to write down")}),
            handler=handler,
        )

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None

    def _write(self, name: str) -> ToolResult:
        os.write(self.descriptor, f"{name}\n".encode())
        return ToolResult(f"noted {name}")

    def _note(self, arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        return self._write(string(arguments, "name"))

    def _pay(self, arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        name = string(arguments, "name")

        def go_on(action: str, _content: Mapping[str, Any] | None) -> Outcome:
            return self._write(name) if action == "accept" else ToolResult.error("nothing was paid")

        return Elicitation("Pay?", then=go_on)

    def _wait(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        self.reached.set()
        while not self.gate.wait(0.02):
            if context.cancellation.is_set():
                raise ToolCancelled("nothing was noted")
        return self._write(string(arguments, "name"))


@contextmanager
def installed() -> Iterator[None]:
    """While inside, this process's agents get these tools where their files say `user_prompt`."""
    with mock.patch.object(registry, "UserPrompt", Journal):
        yield


def write_to(path: Path) -> None:
    """The file of the tools of this process from now on."""
    if Journal.descriptor >= 0:
        os.close(Journal.descriptor)
    Journal.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def read(path: Path) -> list[str]:
    """The names of what took effect, in order."""
    return path.read_text().split() if path.exists() else []
