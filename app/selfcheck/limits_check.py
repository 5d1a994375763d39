"""The system's limits for a process, against what the settings will make it want."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.selfcheck.finding import Finding
from app.settings import SPARE_THREADS, Settings

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")

FEW_THREADS: Final = 16
"""Twelve requests may wait for their session; the rest answers ping, cancel and approve."""

FILES_OF_A_STREAM: Final = 3  # the client, the model, and now and then a tool's pipes
FILES_OF_A_WORKER: Final = 128  # listeners, database, log, libraries
THREADS_OF_A_WORKER: Final = 16  # housekeeping, writers, loaders


def check_threads(settings: Settings) -> list[Finding]:
    spare = settings.all_threads - settings.max_streams
    if spare >= FEW_THREADS:
        return []
    problem = (
        f"{spare} threads beside {settings.max_streams} streams are few: cancel and approve may have to wait"
    )
    return [Finding("warning", "BATON_THREADS", problem, f"leave {SPARE_THREADS}, or set 0")]


def allow_open_files(settings: Settings) -> None:
    """Raises this process's own limit, as far as it may: macOS gives a terminal 256, and every program the right to
    more."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _wanted_files(settings)
    if _is_enough(limit, wanted):
        return
    with suppress(OSError, ValueError):  # the kernel may allow less than the limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if _is_enough(most, wanted) else most, most))


def check_open_files(settings: Settings) -> list[Finding]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _wanted_files(settings)
    if _is_enough(limit, wanted):
        return []
    problem = f"{limit} open files are too few for BATON_MAX_STREAMS={settings.max_streams}"
    remedy = f"allow {wanted} (ulimit -n, LimitNOFILE), or lower BATON_MAX_STREAMS"
    fails = limit < settings.max_streams + FILES_OF_A_WORKER
    return [Finding("failed" if fails else "warning", "open files", problem, remedy)]


def _wanted_files(settings: Settings) -> int:
    spare = settings.all_threads - settings.max_streams
    return settings.max_streams * FILES_OF_A_STREAM + spare + FILES_OF_A_WORKER


def _is_enough(limit: int, wanted: int) -> bool:
    return limit in (resource.RLIM_INFINITY, -1) or limit >= wanted


def check_processes(settings: Settings, cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> list[Finding]:
    """A stream has a request's thread and its run's. The system counts threads as processes."""
    wanted = settings.workers * (settings.all_threads + settings.max_streams + THREADS_OF_A_WORKER)
    limits = (
        (_limit_of_the_group(cgroups, own), "TasksMax, --pids-limit"),
        (_limit_of_the_user(), "ulimit -u, LimitNPROC"),
    )
    streams = f"{settings.workers} workers with {settings.max_streams} streams each"
    return [
        Finding(
            "warning",
            "threads",
            f"{limit} threads are too few for {streams}",
            f"allow {wanted} ({names}), or lower BATON_MAX_STREAMS",
        )
        for limit, names in limits
        if limit is not None and limit < wanted
    ]


def _limit_of_the_group(cgroups: Path, own: Path) -> int | None:
    """The lowest of this process's control group and of those around it; None if none sets one."""
    try:
        memberships = [line.split(":", 2) for line in own.read_text().splitlines()]
        files = [
            file
            for _, controllers, path in memberships
            if controllers
            in ("", "pids")  # one tree for everything, or the older way: one for each controller
            for file in _limits_above(cgroups / controllers, path)
        ]
        texts = [file.read_text().strip() for file in files if file.exists()]
    except (OSError, ValueError):
        return None
    return min((int(text) for text in texts if text.isdigit()), default=None)


def _limits_above(tree: Path, path: str) -> list[Path]:
    group = tree / path.lstrip("/")
    return [one / "pids.max" for one in (group, *group.parents) if one.is_relative_to(tree)]


def _limit_of_the_user() -> int | None:
    """Counts what else this user runs, too. Nobody counts what root runs, and only Linux counts threads."""
    if not sys.platform.startswith("linux"):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return None if os.getuid() == 0 or limit in (resource.RLIM_INFINITY, -1) else limit
