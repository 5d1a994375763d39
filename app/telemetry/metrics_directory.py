"""Where gunicorn's workers share their numbers: a directory of small files, named to `prometheus_client` by an
environment variable that it reads while it is imported. The code that makes the directory must therefore not import
it first."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

_PREFIX: Final = "baton-metrics-"


def make(parent: Path) -> Path:
    """A fresh directory of this process, for itself and its children; directories that killed servers of the same
    user have left in `parent` are swept up. A directory that the operator names in the environment is emptied and
    used, and closed to other users if it is this user's."""
    given = os.environ.get(VARIABLE)
    if given and not _is_ours(path := Path(given)):  # else a server inherited it that replaces another one
        path.mkdir(parents=True, exist_ok=True)
        if _mine(path):
            path.chmod(0o700)
        for file in path.glob("*.db"):
            file.unlink(missing_ok=True)
        return path
    _sweep(parent)
    path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    os.environ[VARIABLE] = str(path)
    return path


def process_died(pid: int) -> None:
    """Its gauges count no more; its counts stay."""
    import_module("prometheus_client.multiprocess").mark_process_dead(pid)


def remove() -> None:
    """Removes the directory that `make` has made in this process; not of a directory that the operator has named."""
    path = Path(os.environ.get(VARIABLE, ""))
    if path.name.startswith(f"{_PREFIX}{os.getpid()}-"):
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    return path.name.startswith(_PREFIX)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        maker = re.fullmatch(rf"{_PREFIX}([0-9]+)-.*", path.name)
        if maker and _mine(path) and _is_gone(int(maker[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_gone(pid: int) -> bool:
    """The kernel is asked, not /proc: that may be hidden, or missing."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's process, for one
    return False


def _mine(path: Path) -> bool:
    """Not if it has just gone: a server that starts at the same moment sweeps too."""
    try:
        return path.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False
