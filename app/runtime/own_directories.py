"""Directories that the server has made for one session each: environments of the Managed Agents API."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from app.agent.tools.path_walk import open_directory, regular_files
from app.managed_ids import number_in
from app.roots import Ground

CLONING: Final = ".cloning-"
"""How the name of a directory begins in which a repository is cloned, beside that of its session."""

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A regular file, open for reading until the next one is asked for. `changed` is in seconds since the epoch."""

    path: str
    size: int
    changed: float
    file: BinaryIO


def own_directory(session_id: str, working_dir: str, ground: Ground) -> Path | None:
    """The directory that was made for this session alone; None if it works in one that others use, too."""
    directory = Path(working_dir)
    if number_in("sesn", directory.name) != _number(session_id):
        return None
    return directory if ground.allows(directory.resolve()) else None


def mark_beside(directory: Path, agent_id: str) -> Path:
    """The empty file that names, beside a session's directory, the session and its agent."""
    return directory.parent / f".{directory.name}.{agent_id}"


def remove(directory: Path) -> bool:
    """With its mark. Says whether it is gone now."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        return False
    for mark in directory.parent.glob(f".{directory.name}.agent_*"):
        mark.unlink(missing_ok=True)
    return True


def files_in(directory: Path) -> Iterator[OwnFile]:
    """Regular files, wherever they lie below it. No link is followed, and what can't be read is left out."""
    try:
        top = open_directory(directory.resolve())
    except OSError:
        return
    try:
        for path, inside, name, _ in regular_files(top):
            try:
                fd = os.open(name, _FILE, dir_fd=inside)
            except OSError:
                continue
            with os.fdopen(fd, "rb") as file:
                status = os.fstat(fd)
                yield OwnFile(path, status.st_size, status.st_mtime, file)
    finally:
        os.close(top)


def _number(session_id: str) -> uuid.UUID | str:
    """Sessions of another program may have ids that are no numbers."""
    try:
        return uuid.UUID(session_id)
    except ValueError:
        return session_id
