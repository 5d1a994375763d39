"""A working directory and a run to call tools in, and ways to look for what they left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.agent.toolset import Outcome, Tool, ToolContext, ToolResult, Toolset
from tests.agent.cancellation import FakeCancellation

WITNESS = "TOOL_TEST_WITNESS"


@dataclass(frozen=True)
class Workbench:
    """`environment` carries a word that every process started with it can be found by."""

    root: Path
    cancellation: FakeCancellation
    environment: dict[str, str]

    @property
    def context(self) -> ToolContext:
        return ToolContext(self.root, self.cancellation)

    def call(self, toolset: Toolset, name: str, /, **arguments: Any) -> ToolResult:
        result = self.ask(toolset, name, **arguments)
        assert isinstance(result, ToolResult)
        return result

    def ask(self, toolset: Toolset, name: str, /, **arguments: Any) -> Outcome:
        return find(toolset, name).call(arguments, self.context)

    def write(self, path: str, content: str | bytes = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def processes(self) -> list[int]:
        """Live processes that were started with this bench's environment."""
        word = f"{WITNESS}={self.environment[WITNESS]}".encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _carries(pid, word)]

    def when_signalled(self, action: Callable[[], None]) -> Path:
        """A pipe to write to: as soon as a command does, `action` is called on another thread."""
        path = self.root / "signal.fifo"
        os.mkfifo(path)

        def wait() -> None:
            path.read_bytes()
            action()

        threading.Thread(target=wait, daemon=True).start()
        return path


def find(toolset: Toolset, name: str) -> Tool:
    return next(tool for tool in toolset.tools() if tool.name == name)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def _carries(pid: int, word: bytes) -> bool:
    try:
        return word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and is_alive(pid)
    except OSError:
        return False
