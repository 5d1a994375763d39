"""Every tool test runs in its own directory and must leave no process, thread or descriptor behind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tool_environment import VARIABLE
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.workbench import WITNESS, Workbench
from tests.harness.process import eventually
from tests.harness.threads import nothing_left


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    root = tmp_path / "work"
    root.mkdir()
    environment = {"PATH": os.environ["PATH"], WITNESS: uuid.uuid4().hex, VARIABLE: WITNESS}
    bench = Workbench(root, FakeCancellation(), environment)
    with nothing_left():
        yield bench
        eventually(lambda: not bench.processes(), "what was killed is dead", seconds=10)
