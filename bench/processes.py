"""The processes of a measurement, each in a group and a directory of its own; all of them end with it."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from bench.accounting import children
from bench.load import Opened, Plan, Seen

ROOT: Final = Path(__file__).parents[1]
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def allow_many_files() -> None:
    """A thousand streams need two thousand sockets; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def started(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] | None = None,
    *,
    python: str = sys.executable,
) -> Iterator[subprocess.Popen[str]]:
    """Runs a Python, this one unless another is named, with those arguments; kills the whole group at the end."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [python, *command],
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "PYTHONPATH": str(ROOT),
                **(environment or {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if environment is None else log,
            stderr=log,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        with process:
            pass


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def fake_model(directory: Path) -> Iterator[tuple[str, int]]:
    """Its URL and its process id."""
    with started(["-m", "bench.fake_model"], directory) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `pids` are the processes that do the work; gunicorn's master is not among them."""

    contestant: str
    port: int
    process: subprocess.Popen[str]
    pids: tuple[int, ...]
    directory: Path
    start_seconds: float

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self) -> float:
        """Asks it to stop; how many seconds it took."""
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - begin


def wait_until_it_answers(port: int, process: subprocess.Popen[str], log: Path, *, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.01)
        finally:
            connection.close()
    raise RuntimeError(f"the server does not answer:\n{log.read_text(errors='replace')[-4000:]}")


def workers_of(process: subprocess.Popen[str]) -> tuple[int, ...]:
    return tuple(children(process.pid)) or (process.pid,)


class Load:
    """The load's process, while it runs: `opened` and then `seen`, each waited for."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def opened(self) -> Opened:
        return Opened(**json.loads(self._line()))

    def seen(self) -> Seen:
        return Seen(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load generator ended:\n{self._log.read_text()[-4000:]}")
        return line


@contextmanager
def load(plan: Plan, directory: Path) -> Iterator[Load]:
    """Streams that are open until the block ends."""
    with started(["-m", "bench.load", json.dumps(asdict(plan))], directory) as process:
        yield Load(process, directory / "log")
