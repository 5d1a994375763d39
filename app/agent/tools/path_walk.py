"""The walk from a directory down to a path below it, one name at a time, past no link and into no file of the server.

No step follows a link: a link is read and its target walked in the same way. A directory that is swapped for a link
in mid-walk is therefore an error, not a way out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.agent.tools.autoexec_paths import executed_place
from app.roots import Marks

OWN: Final = "this belongs to the server"

MAX_NAMES: Final = 128
"""Names of one path. A walk takes as many steps as there are names, and what looks through a tree walks to each of its
directories: thousands of directories in one another would keep a thread busy for minutes."""

_MAX_DETOURS: Final = 64  # links and `..` on one path
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY
_PASSED: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY  # it need not be readable


class Outside(Exception):
    """The path leads out of the directory."""


class Refused(Exception):
    """Says what the place is."""


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """Where a path really lies: the open directory, the name in it, and the path below the root without
    any link in it (empty for the root itself)."""

    directory: int
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class WalkStart:
    """The directory that a walk begins in, as it is called and where it really lies."""

    called: Path
    real: Path

    def names(self, path: str) -> list[str]:
        """The names below it. An absolute path must begin with it, in either of its spellings."""
        if os.path.isabs(path):
            spellings = (self.called, self.real)
            below = next((one for one in spellings if Path(path).is_relative_to(one)), None)
            if below is None:
                raise Outside
            path = str(Path(path).relative_to(below))
        return [name for name in path.split("/") if name not in ("", ".")]


def find(start: WalkStart, path: str, marks: Marks, *, create: bool, follow: bool) -> ResolvedPath:
    """The caller closes the place's directory. `create` makes the directories on the way, but none from which other
    programs execute something. Raises Outside, Refused, OSError, and ValueError for text that is no path."""
    names = start.names(path)
    for _ in range(_MAX_DETOURS):
        if len(names) > MAX_NAMES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        found = _walk(start, names or ["."], create, follow, marks)
        if isinstance(found, ResolvedPath):
            return found
        names = found
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _walk(
    start: WalkStart, names: list[str], create: bool, follow: bool, marks: Marks
) -> ResolvedPath | list[str]:
    """Walks straight down; at the first link or `..` it lets go and says which way to take instead."""
    fd = open_directory(start.real)
    try:
        for i, name in enumerate(names):
            last = i == len(names) - 1
            around = detour(start, fd, names, i) if follow or not last or name == ".." else None
            if around is not None:
                os.close(fd)
                return around
            _refuse_own(marks, fd, name)
            if last:
                break
            if create:
                if executed_place(names[: i + 1]):
                    break
                _make(name, fd)
            inner = enter(name, fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return ResolvedPath(fd, names[-1], "/".join(name for name in names if name != "."))


def detour(start: WalkStart, fd: int, names: list[str], i: int) -> list[str] | None:
    """The names that lead past a `..` or a link at position i; None if there is neither."""
    if names[i] == "..":
        if i == 0:
            raise Outside
        return names[: i - 1] + names[i + 1 :]
    try:
        target = os.readlink(names[i], dir_fd=fd)
    except OSError:
        return None  # not a link, or not there: the next step finds out
    above = [] if os.path.isabs(target) else names[:i]
    return above + start.names(target) + names[i + 1 :]


def open_directory(real: Path) -> int:
    """The directory at an absolute path without links. OSError if there is a link in it: it has come since."""
    *above, last = real.parts
    fd = os.open(above[0] if above else last, _PASSED)
    for flags, names in ((_PASSED, above[1:]), (_DIRECTORY, [last] if above else ["."])):
        for name in names:
            try:
                inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
    return fd


def enter(name: str, fd: int) -> int:
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)


def _make(name: str, fd: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=fd)
    except FileExistsError:
        pass


def _refuse_own(marks: Marks, directory: int, name: str) -> None:
    if marks.name(os.fstat(directory), name):
        raise Refused(OWN)
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return  # not there, or not to be looked at: the next step finds out
    if marks.bear(status):
        raise Refused(OWN)


def regular_files(top: int) -> Iterator[tuple[str, int, str, os.stat_result]]:
    """Each regular file below an open directory: its path from there, the descriptor of its directory, its name, its
    status. No link is followed, and what can't be looked at is left out."""
    for here, _, names, directory in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        for name in sorted(names):
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield os.path.normpath(os.path.join(here, name)), directory, name, status
