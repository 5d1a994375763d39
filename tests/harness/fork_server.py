"""Servers that are forked from a process which has imported the libraries, and what of Baton does not look at its
environment meanwhile: that is most of what a start costs, and the same for all of them. gunicorn imports the rest, as
in a process of its own."""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0

WRONG_BY: Final = "TEST_CLOCK_IS_WRONG_BY"
DESCRIPTORS: Final = "TEST_DESCRIPTORS"

LIBRARIES: Final = (
    "alembic.command",
    "alembic.runtime.environment",
    "anthropic",
    "flask",
    "gunicorn.app.wsgiapp",
    "gunicorn.arbiter",
    "gunicorn.workers.gthread",
    "httpx2",
    "logging.config",
    "orjson",
    "psycopg",
    "pydantic",
    "requests",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "yaml",
)
NUMBERS: Final = "prometheus_client"
"""The library that looks at its environment while it is imported: for the directory of a server's numbers."""


class WarmProcess:
    """A child of the nest. As much of a Popen as the tests need."""

    def __init__(self, nest: ForkServer, pid: int) -> None:
        self.pid = pid
        self._nest = nest
        self._lock = threading.Lock()
        self._handle = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._code if self._code is not None or not self._over(0) else self._collect()

    def wait(self, timeout: float | None = None) -> int:
        if self._code is not None:
            return self._code
        if not self._over(timeout):
            raise subprocess.TimeoutExpired("gunicorn", timeout or 0)
        return self._collect()

    def _over(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _collect(self) -> int:
        with self._lock:
            if self._code is None:
                self._code = self._nest.ask(wait=self.pid)
                os.close(self._handle)
            return self._code


class ForkServer:
    """The parent's side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.fork_server"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(self.close)

    def start(
        self, command: list[str], *, directory: Path, environment: Mapping[str, str], log: Path
    ) -> WarmProcess:
        """A Python script and its arguments, in a process group of its own."""
        child = {"directory": str(directory), "environment": dict(environment), "log": str(log)}
        return WarmProcess(self, self.ask(command=command, **child))

    def ask(self, **order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


@functools.cache
def nest() -> ForkServer:
    """One for the whole test run; the first who asks waits for the imports."""
    return ForkServer()


def become(order: dict[str, Any]) -> None:
    """Does the work of an exec, without forgetting what was imported."""
    os.setsid()
    os.chdir(order["directory"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for here, there in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    os.close(nothing)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    handicap(os.environ)
    sys.argv[:] = order["command"]
    sys.orig_argv[:] = [sys.executable, *sys.argv]


def handicap(environment: Mapping[str, str]) -> None:
    """A clock that is wrong by so many seconds, and so few descriptors, if the environment asks for them."""
    if wrong_by := float(environment.get(WRONG_BY, "0")):
        true_time = time.time
        time.time = lambda: true_time() + wrong_by
    if descriptors := int(environment.get(DESCRIPTORS, "0")):
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def breed() -> bool:
    """Returns true in each child, once it is one, and false when nobody needs another one."""
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        elif not (answer := os.fork()):
            become(order)
            return True
        os.write(1, b"%d\n" % answer)
    return False


def import_what_needs_no_numbers() -> None:
    """All of `app` that does not import the library of numbers, be it on the way: that fails here."""
    sys.modules[NUMBERS] = None  # type: ignore[assignment]  # the import system's word for "there is none"
    for module in walk_packages([str(ROOT / "app")], "app."):
        with suppress(ImportError):
            import_module(module.name)
    del sys.modules[NUMBERS]


def main() -> None:
    for name in LIBRARIES:
        import_module(name)
    import_what_needs_no_numbers()
    assert threading.active_count() == 1, "who forks must be alone"
    gc.collect()
    gc.freeze()  # a collection in a child would write to the pages that it shares
    if breed():
        sys.exit(import_module("gunicorn.app.wsgiapp").run())


if __name__ == "__main__":
    main()
