"""Which process is this, and does that one still live?"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from app.conversation.run import Owner


def this_process() -> Owner:
    pid = os.getpid()
    return Owner(host=_host(), boot=_boot(), pid=pid, started=_start_time(pid) or "")


def is_gone(owner: Owner) -> bool:
    """True only if the process certainly does not run any more, which only its own host can say.

    A process id may be in use again, so its start time counts too. Another host, another container or an
    unknown start time proves nothing: there the lease decides.
    """
    if owner.host != _host() or not owner.started:
        return False
    if owner.boot.partition("/")[0] != _boot().partition("/")[0]:
        return True  # the machine was started anew since
    if owner.boot != _boot():
        return False  # another container of this machine: its process ids mean nothing here
    return _start_time(owner.pid) != owner.started


def _host() -> str:
    """The name alone could be shared by several machines."""
    return f"{socket.gethostname()}/{_read('/etc/machine-id')[:12]}"


def _boot() -> str:
    """Boot and process-id name space: within one of these, a process id names one process at a time."""
    try:
        name_space = os.readlink("/proc/self/ns/pid")
    except OSError:
        name_space = ""
    return f"{_read('/proc/sys/kernel/random/boot_id')}/{name_space}"


def _start_time(pid: int) -> str | None:
    """In the kernel's ticks since boot; None if there is no such process, or only what is left of one."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
