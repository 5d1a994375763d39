"""The one directory that file tools can see, and a way to it that no link and no race leads out of.

Every path is walked from the root's descriptor, one name at a time, and no step follows a link: a link is
read and its target walked in the same way. So a directory that is swapped for a link in mid-walk is an
error, not a way out. Hard links and mounts are beyond this: both take rights that a session's tools
don't have through files.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAX_DETOURS: Final = 64  # links and `..` on one path
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK  # opening a pipe must not wait for its other end


class FileRefused(Exception):
    """A path that can't be used, in words for the model, with the system's error number if it gave one."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number


class _Outside(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path really lies: the open directory, the name in it, and the path below the root without
    any link in it (empty for the root itself)."""

    directory: int
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    is_directory: bool
    is_file: bool  # neither: a link, a device, a pipe


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: all of it, unless `size` says that there is more."""

    data: bytes
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """File access below `root`. Safe for threads: it holds nothing open between calls."""

    root: Path

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of a regular file."""
        with self._at(path, "open") as place:
            fd = os.open(place.name, os.O_RDONLY | _FILE, dir_fd=place.directory)
            try:
                size = _regular(fd).st_size
                with os.fdopen(fd, "rb", closefd=False) as file:
                    data = file.read(limit + 1)
            finally:
                os.close(fd)
            return Content(data[:limit], max(size, len(data)), place.path)

    def write(self, path: str, data: bytes) -> None:
        """Replaces the file as a whole or not at all; an existing file keeps its mode."""
        with self._at(path, "open") as place:
            mode = self._writable_mode(place)
            draft = f".{secrets.token_hex(8)}.tmp"
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=place.directory)
            try:
                with os.fdopen(fd, "wb") as file:
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                    file.write(data)
                os.replace(draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
            except BaseException:
                os.unlink(draft, dir_fd=place.directory)
                raise

    def make_directories(self, path: str) -> None:
        """The directory and all that lead to it; existing ones are fine."""
        with self._at(path, "mkdir", create=True) as place:
            try:
                os.mkdir(place.name, 0o755, dir_fd=place.directory)
            except FileExistsError:
                os.close(_enter(place.name, place.directory))

    def remove_directory(self, path: str) -> None:
        """An empty directory; a link to one is left alone."""
        with self._at(path, "remove", follow=False) as place:
            os.rmdir(place.name, dir_fd=place.directory)

    def entries(self, path: str) -> tuple[str, list[Entry]]:
        """The directory's real path below the root, and what is in it, by name."""
        with self._at(path, "open") as place:
            fd = _enter(place.name, place.directory)
            try:
                with os.scandir(fd) as found:
                    listed = [_entry(item) for item in found]
            finally:
                os.close(fd)
            return place.path, sorted(listed, key=lambda entry: entry.name)

    def shown(self, path: str) -> str:
        """The path as the user knows it, for messages and results."""
        return visible(os.path.normpath(self.root / path))

    @contextmanager
    def _at(self, path: str, verb: str, *, create: bool = False, follow: bool = True) -> Iterator[Place]:
        """Finds the place, and words what goes wrong there."""
        try:
            place = self._find(path, create, follow)
            try:
                yield place
            finally:
                os.close(place.directory)
        except _Outside:
            raise FileRefused(f"{verb} {visible(path)}: path is outside the working directory") from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise FileRefused(f"{verb} {self.shown(path)}: {reason}", error.errno) from error
        except ValueError as error:  # a NUL byte, half of a surrogate pair
            raise FileRefused(f"{verb} {visible(path)!r}: invalid argument") from error

    def _find(self, path: str, create: bool, follow: bool) -> Place:
        names = self._names(path)
        for _ in range(_MAX_DETOURS):
            found = self._walk(names or ["."], create, follow)
            if isinstance(found, Place):
                return found
            names = found
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def _walk(self, names: list[str], create: bool, follow: bool) -> Place | list[str]:
        """Walks straight down; at the first link or `..` it lets go and says which way to take instead."""
        fd = os.open(self.root, _DIRECTORY)
        try:
            for i, name in enumerate(names):
                last = i == len(names) - 1
                around = self._around(fd, names, i) if follow or not last or name == ".." else None
                if around is not None:
                    os.close(fd)
                    return around
                if last:
                    break
                if create:
                    _make(name, fd)
                inner = _enter(name, fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return Place(fd, names[-1], "/".join(name for name in names if name != "."))

    def _around(self, fd: int, names: list[str], i: int) -> list[str] | None:
        if names[i] == "..":
            if i == 0:
                raise _Outside
            return names[: i - 1] + names[i + 1 :]
        try:
            target = os.readlink(names[i], dir_fd=fd)
        except OSError:
            return None  # not a link, or not there: the next step finds out
        start = [] if os.path.isabs(target) else names[:i]
        return start + self._names(target) + names[i + 1 :]

    def _names(self, path: str) -> list[str]:
        """The names below the root. An absolute path must begin with the root, in either of its spellings."""
        if os.path.isabs(path):
            roots = (self.root, self.root.resolve())
            below = next((root for root in roots if Path(path).is_relative_to(root)), None)
            if below is None:
                raise _Outside
            path = str(Path(path).relative_to(below))
        return [name for name in path.split("/") if name not in ("", ".")]

    def _writable_mode(self, place: Place) -> int | None:
        """The mode of the file that is there, None if there is none. Opening it finds what replacing it
        would not: that it may not be written."""
        try:
            fd = os.open(place.name, os.O_WRONLY | _FILE, dir_fd=place.directory)
        except FileNotFoundError:
            return None
        try:
            return stat.S_IMODE(_regular(fd).st_mode) & 0o777
        finally:
            os.close(fd)


def visible(name: str) -> str:
    """A file name as text that every encoder takes."""
    return os.fsencode(name).decode("utf-8", "replace") if _encodable(name) else ascii(name)


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except ValueError:
        return False
    return True


def _enter(name: str, fd: int) -> int:
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)


def _make(name: str, fd: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=fd)
    except FileExistsError:
        pass


def _regular(fd: int) -> os.stat_result:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status


def _entry(item: os.DirEntry[str]) -> Entry:
    return Entry(item.name, item.is_dir(follow_symlinks=False), item.is_file(follow_symlinks=False))
