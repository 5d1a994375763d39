"""What works less well on a system that is not Linux."""

from __future__ import annotations

import platform
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.agent.tools.process_family import has_pidfd
from app.selfcheck.finding import Finding

_SEE: Final = "see docs/operations.md, On a Mac"
_SELF: Final = Path("/proc/self/stat")


def what_is_weaker() -> Iterator[Finding]:
    """A warning for each thing that the system lacks; none on Linux. For `baton doctor`: a server would say it at
    each start."""
    for there, subject, text in (
        (
            hasattr(select, "POLLRDHUP"),
            "hang-ups",
            "a client that sends something and then hangs up is noticed at the next event or heartbeat",
        ),
        (
            hasattr(socket, "TCP_USER_TIMEOUT"),
            "lost clients",
            "a client whose network is gone is noticed after minutes, not after 30 s",
        ),
        (
            _SELF.exists(),
            "dead processes",
            "a session of a dead process is free at once only if `ps` and `sysctl` tell, else when its lease is over",
        ),
        (
            has_pidfd(),
            "commands of tools",
            "what has left its command's process group is stopped only if the group is still there",
        ),
        (
            _SELF.exists(),
            "environment",
            "commands of tools can read the settings that the server was started with, the key too",
        ),
    ):
        if not there:
            yield Finding("warning", subject, f"this is {platform.system()}: {text}", _SEE)
