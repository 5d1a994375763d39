"""The parent's side of `tests.kill_points.doomed`, and of other programs that fork a child for every order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.harness.process import ROOT
from tests.kill_points.doomed import PATIENCE, Doom, order


@dataclass(frozen=True, slots=True)
class Life:
    """The events that a child's client saw, and whether the child survived."""

    events: list[dict[str, Any]]
    survived: bool

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


class Nursery:
    """One process for a whole module of tests; it is what imports cost."""

    def __init__(self, module: str = "tests.kill_points.doomed") -> None:
        self._module = module

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", self._module]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def raise_one(self, doom: Doom) -> Life:
        """Returns when the child is dead. A child that died of anything but its doom is an error."""
        events: list[dict[str, Any]] = []
        code = self.watch_one(order(doom), events.append)
        assert code in (0, -signal.SIGKILL), "the child's own words are above"
        return Life(events, survived=code == 0)

    def watch_one(self, line: bytes, see: Callable[[dict[str, Any]], None]) -> int:
        """Gives an order, calls `see` with each thing that the child tells, and returns its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        for told in self._process.stdout:
            event = json.loads(told)
            if event["type"] == "exit":
                return int(event["code"])
            see(event)
        raise AssertionError("the nursery is gone")
