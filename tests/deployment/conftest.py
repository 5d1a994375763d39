"""Fixtures of the tests that start servers with settings of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.wheel import install_wheel
from tests.harness.wire import Client

Connect = Callable[[str], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of several servers, and closes them."""
    with ExitStack() as clients:

        def make(url: str) -> Client:
            client = Client(url)
            clients.callback(client.close)
            return client

        yield make


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs of an environment in which Baton's wheel is installed."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


def linted(program: str, *arguments: str | Path) -> None:
    """Fails with what the program says; skips where it is missing. `.ci/run` installs it."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
