"""The directory that a session is made for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from app.errors import InvalidRequest
from app.roots import Ground


def session_directory(wanted: str, ground: Ground) -> str:
    """An absolute, existing directory of the asker's ground; empty for the default one.

    A path outside is refused before the disk is asked, in the same words whether it exists or not. A path whose
    links lead outside is refused in the same way.
    """
    wanted = wanted.strip()
    if not wanted:
        return ""
    outside = InvalidRequest(
        f"failed to create session: {wanted} is outside the directories where sessions may work", status=422
    )
    try:
        path = Path(os.path.abspath(Path(wanted).expanduser()))
        if not any(path.is_relative_to(root) for root in (*ground.spelled, *ground.roots)):
            raise outside
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a user without a home, a NUL
        raise outside from None
    if not ground.allows(resolved):
        raise outside
    try:
        is_directory = stat.S_ISDIR(resolved.stat().st_mode)
    except OSError:
        raise InvalidRequest(
            f"failed to create session: stat {wanted}: no such file or directory", status=422
        ) from None
    if not is_directory:
        raise InvalidRequest("failed to create session: working directory must be a directory", status=422)
    return str(resolved)
