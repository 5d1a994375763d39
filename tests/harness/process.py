"""A real gunicorn with Baton in it, in its own process group, on a free loopback port."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from tests.harness.fork_server import WarmProcess, nest
from tests.harness.sqlite import NAME, sqlite_in

ROOT = Path(__file__).parents[2]
GUNICORN = Path(sys.executable).with_name("gunicorn")
START_SECONDS = 60.0
STOP_SECONDS = 60.0


_PORTS: Final = range(20_000, 32_000)
"""Below the range that the system takes from by itself, for clients too: a port of that range may be gone by the time
that the server wants it."""
_held: list[int] = []  # descriptors of locks, for as long as this process lives


def free_port() -> int:
    """A port that no other process of these tests gets meanwhile."""
    folder = Path(tempfile.gettempdir(), f"baton-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    while True:
        port = random.choice(_PORTS)
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)  # another test's, or another program's
        else:
            _held.append(lock)
            return port


class BatonProcess:
    """Starts with `start`, or as a context manager. `model_url` is the address of a stand-in."""

    def __init__(
        self,
        directory: Path,
        *,
        model_url: str,
        agents: Path,
        database_url: str | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        cold: bool = False,
        root: Path = ROOT,
        command: Sequence[str] | None = None,
    ) -> None:
        """`cold` starts it as an operator does; otherwise it is forked from a process that has imported the libraries,
        and finds its database migrated. `root` is the tree whose code it runs; another one than this is always started
        cold, and so is a `command` other than gunicorn's of these tests."""
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = directory / f"baton-{self.port}.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(root),
            "ANTHROPIC_API_KEY": "test-key-of-the-tests",
            "ANTHROPIC_BASE_URL": model_url,
            "BATON_BIND": f"127.0.0.1:{self.port}",
            "BATON_AGENTS": str(agents),
            "BATON_DATABASE_URL": database_url or f"sqlite:///{directory / NAME}",
            "BATON_ROOTS": str(directory),
            "BATON_DRAIN_SECONDS": "5",
            "BATON_TITLES": "off",
            **(settings or {}),
        }
        self._command = command or [str(GUNICORN), "-c", str(root / "gunicorn.conf.py")]
        self._cold = cold or root != ROOT or command is not None
        self._process: subprocess.Popen[bytes] | WarmProcess | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Returns when the server answers."""
        self.launch()
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the server did not start:\n{self.log()}")
            try:
                if requests.get(f"{self.url}/api/ping", timeout=5).ok:
                    return self
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError(f"the server does not answer:\n{self.log()}")

    def launch(self) -> None:
        """Returns at once; for a server that answers elsewhere than at `url`."""
        self._process = self._start_cold() if self._cold else self._start_warm()

    def _start_cold(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _start_warm(self) -> WarmProcess:
        if self._environment["BATON_DATABASE_URL"] == f"sqlite:///{self.directory / NAME}":
            sqlite_in(self.directory)
        return nest().start(
            list(self._command), directory=self.directory, environment=self._environment, log=self.log_path
        )

    def kill(self) -> None:
        """SIGKILL for the master and all its workers at once: as a power cut or the kernel does it."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """To the master only."""
        os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        os.killpg(self.pid, number)

    def wait(self) -> int:
        """The exit code, once it has exited."""
        assert self._process is not None
        code = self._process.wait(STOP_SECONDS)
        self._process = None
        return code

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self._process is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.wait()
        finally:
            self.kill()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def eventually(check: Any, what: str, *, seconds: float = 30.0) -> Any:
    """The first truthy value of `check`, asked again and again; an AssertionError after `seconds`.

    For states of other processes, which no event of ours announces.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen within {seconds} s: {what}")
        time.sleep(0.01)
