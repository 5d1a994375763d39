"""What programs of the system say of its processes, where there is no /proc: `ps` and, on macOS, `sysctl`.

A question takes some ten milliseconds. An answer that does not come is empty, and proves nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NO_NAME_SPACES: Final = "one"
"""Stands for the process-id name space of a system that has only one."""

_SECONDS: Final = 5.0
_PLACES: Final = "/bin:/usr/bin:/sbin:/usr/sbin"


@dataclass(frozen=True, slots=True)
class Listed:
    pid: int
    parent: int
    group: int
    state: str


def boot() -> str:
    """A name that the system has made for itself at its start; only macOS is known to have one."""
    session = _said("sysctl", "-n", "kern.bootsessionuuid")
    return f"{session}/{NO_NAME_SPACES}" if session else ""


def state_and_start(pid: int) -> tuple[str, str]:
    """A process's state, of which the first letter counts, and the second of its start, in UTC."""
    state, _, started = _said("ps", "-o", "state=,lstart=", "-p", str(pid)).partition(" ")
    return state[:1], " ".join(started.split())


def command(pid: int) -> str:
    """Its command line."""
    return _said("ps", "-o", "command=", "-p", str(pid))


def all_processes() -> Iterator[Listed]:
    """As one look sees them; `ps` itself is among them."""
    for line in _said("ps", "-A", "-o", "pid=,ppid=,pgid=,state=").splitlines():
        pid, parent, group, state = line.split()[:4]
        yield Listed(int(pid), int(parent), int(group), state[0])


def _said(*command: str) -> str:
    path = os.pathsep.join(filter(None, (os.environ.get("PATH"), _PLACES)))
    environment = {"PATH": path, "LC_ALL": "C", "TZ": "UTC0"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
