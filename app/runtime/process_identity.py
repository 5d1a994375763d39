"""Names this process as the owner of runs, and finds out whether another owner's process still runs.

Linux says it in /proc; elsewhere programs of the system are asked (see `asked_processes`). A name of the one kind is
never compared with one of the other: the boots differ.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Final

from app.asked_processes import NO_NAME_SPACES, boot, state_and_start
from app.conversation.run import Liveness, Owner

ROOT: Final = Path("/")

MACHINES_PROCESSES: Final = "pid:[4026531836]"
"""The process-id name space of a Linux machine itself, which the kernel always numbers so; containers have others."""


def this_process(root: Path = ROOT) -> Owner:
    """A value that can't be read stays empty, and proves nothing to other processes. `root` holds /proc and /etc."""
    if not _has_proc():
        return Owner(f"{socket.gethostname()}/", boot(), os.getpid(), state_and_start(os.getpid())[1])
    return Owner(
        host=f"{socket.gethostname()}/{_read(root / 'etc/machine-id')[:12]}",
        boot=f"{_read(root / 'proc/sys/kernel/random/boot_id')}/{_link(root / 'proc/self/ns/pid')}",
        pid=os.getpid(),
        started=_state_and_start(root / "proc/self/stat")[1],
    )


def probe(owner: Owner, *, seen_from: Owner, root: Path = ROOT) -> Liveness:
    """Looks for an owner's process from the process `seen_from`, which is the calling one.

    "gone" is certain: the process ended, or its machine was started anew. "alive" is certain for this moment.
    Everything else is "unknown": another host, another container, or a look that failed, for example because this
    process has no file descriptor left.
    """
    if owner == seen_from:
        return "alive"
    their_boot, _, name_space = owner.boot.partition("/")
    our_boot, _, our_name_space = seen_from.boot.partition("/")
    if not their_boot or not our_boot:
        return "unknown"
    if owner.host != seen_from.host and (owner.boot != seen_from.boot or name_space != NO_NAME_SPACES):
        return "unknown"  # a laptop has another name in each network, but the same boot
    if their_boot != our_boot:
        return "gone" if _is_one_machine(owner, seen_from) else "unknown"
    if name_space != our_name_space or not name_space:
        return "unknown"  # its process ids mean nothing here
    return _look(owner, root / "proc")


def _is_one_machine(owner: Owner, other: Owner) -> bool:
    """Both have the same host. A machine-id proves that only if it was read, and outside of containers: a
    container's comes from its image, so containers of several machines may have the same one."""
    in_containers = {owner.boot.partition("/")[2], other.boot.partition("/")[2]} != {MACHINES_PROCESSES}
    machine_id = owner.host.rpartition("/")[2]
    return not in_containers and re.fullmatch("[0-9a-f]{12}", machine_id) is not None


def _look(owner: Owner, proc: Path) -> Liveness:
    """Asks the kernel first: that needs no descriptor, and knows processes that a mount of /proc hides."""
    if owner.pid <= 0:
        return "unknown"
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return "gone"
    except (OSError, OverflowError):
        pass  # another user's process, for one: it exists
    if not _has_proc():
        state, started = state_and_start(owner.pid)
    elif _link(proc / "self") != str(os.getpid()):
        return "unknown"  # /proc shows another name space, or nothing
    else:
        state, started = _state_and_start(proc / str(owner.pid) / "stat")
    if state in ("Z", "X"):
        return "gone"  # only its exit code is left
    if not started or not owner.started:
        return "unknown"
    return "alive" if started == owner.started else "gone"  # the process id is in use again


def _has_proc() -> bool:
    return sys.platform.startswith("linux")


def _state_and_start(stat: Path) -> tuple[str, str]:
    """A process's state, and its start time in the kernel's ticks since boot. Empty if they can't be read."""
    fields = _read(stat).rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _read(path: Path) -> str:
    """Empty if it can't be read. A process's name, in its stat, may be any bytes."""
    try:
        return path.read_bytes().decode(errors="replace").strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
