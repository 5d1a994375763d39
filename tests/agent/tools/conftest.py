"""Every tool test runs in its own directory and must leave no process, thread or descriptor behind."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.workbench import WITNESS, Workbench
from tests.harness.process import eventually


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    root = tmp_path / "work"
    root.mkdir()
    environment = {"PATH": os.environ["PATH"], WITNESS: uuid.uuid4().hex}
    bench = Workbench(root, FakeCancellation(), environment)
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield bench
    eventually(lambda: not bench.processes(), "what was killed is dead", seconds=2)
    eventually(lambda: set(threading.enumerate()) <= threads, f"these have ended: {threading.enumerate()}")
    eventually(lambda: _descriptors() <= descriptors, "what was opened is closed")


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue  # the listing's own
    return found
