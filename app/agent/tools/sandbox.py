"""The one way to files of a session: below one directory, which no link and no race leads out of.

Every path is walked from the root's descriptor (`app.agent.tools.path_walk`). Hard links and mounts are beyond
this: both take rights that a session's tools don't have through files.

The server's own files are refused wherever they lie, by inode, so through hard links too. Nothing is written
where other programs find what they execute (`app.agent.tools.autoexec_paths`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from app.agent.tools.autoexec_paths import executed_place, repository_above
from app.agent.tools.path_walk import OWN, Outside, Refused, ResolvedPath, WalkStart, enter, find
from app.agent.toolset import ToolContext
from app.roots import Ground, OwnFiles

_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK  # opening a pipe must not wait for its other end
_LOCK_POLL: Final = 0.01  # seconds


class FileRefused(Exception):
    """A path that can't be used, in words for the model, with the system's error number if it gave one. `reason` is
    what of the words does not name the path, empty if it is outside of what may be reached."""

    def __init__(self, message: str, number: int | None = None, *, reason: str = "") -> None:
        super().__init__(message)
        self.number = number
        self.reason = reason

    @property
    def is_more_than_absent(self) -> bool:
        """Whether something is there, so that it is worth a word that it is not read."""
        return self.number not in (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    is_directory: bool
    is_file: bool  # neither: a link, a device, a pipe
    is_link: bool = False
    changed: float = 0.0  # when, by the clock; only of entries that were asked for with it


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file: all of it, unless `size` says that there is more."""

    data: bytes
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """File access below `root`, except to the server's `own` files. Safe for threads: it holds nothing open
    between calls, and no call waits: neither for a pipe's other end nor for a device."""

    root: Path
    own: OwnFiles = field(default_factory=OwnFiles)
    within: tuple[Path, ...] = ()
    """Where `root` must really lie at the moment of each call: it may have become a link since. Empty: anywhere."""
    read_only: tuple[Path, ...] = ()
    """Directories below it in which nothing is written."""

    @classmethod
    def on(cls, ground: Ground, root: Path) -> Self:
        return cls(root, ground.own, ground.roots, ground.read_only)

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of a regular file."""
        with self._at(path, "open") as place:
            fd = os.open(place.name, os.O_RDONLY | _FILE, dir_fd=place.directory)
            try:
                size = self._regular(fd).st_size
                with os.fdopen(fd, "rb", closefd=False) as file:
                    data = file.read(limit + 1)
            finally:
                os.close(fd)
            return Content(data[:limit], max(size, len(data)), place.path)

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Replaces the file as a whole or not at all; an existing file keeps its mode, a new one gets `mode`."""
        with self._at(path, "open") as place:
            self._refuse_executed(place, is_file=True)
            kept = self._writable_mode(place)
            draft = f".{secrets.token_hex(8)}.tmp"
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=place.directory)
            try:
                with os.fdopen(fd, "wb") as file:
                    if kept is not None or mode != 0o644:
                        os.fchmod(file.fileno(), mode if kept is None else kept)
                    file.write(data)
                os.replace(draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
            except BaseException:
                os.unlink(draft, dir_fd=place.directory)
                raise

    @contextmanager
    def locked(self, path: str, seconds: float) -> Iterator[None]:
        """Holds the file's lock; makes an empty file, for its owner only, where there is none.

        A write puts a new file in the old one's place, so the lock of the old one is given up for the new one's.
        """
        end = time.monotonic() + seconds
        while True:
            with self._at(path, "lock") as place:
                self._refuse_executed(place, is_file=True)
                fd = os.open(place.name, os.O_RDWR | os.O_CREAT | _FILE, 0o600, dir_fd=place.directory)
                try:
                    self._regular(fd)
                    taken = _try_lock(fd) and _is_at(fd, place)
                except BaseException:
                    os.close(fd)
                    raise
            if taken:
                break
            os.close(fd)
            if time.monotonic() > end:
                raise FileRefused(f"lock {self.shown(path)}: another process holds it", errno.EAGAIN)
            time.sleep(_LOCK_POLL)
        try:
            yield
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """Whether there is a file or a directory; it is not opened. FileRefused where it may not be looked at."""
        with self._at(path, "open") as place:
            try:
                os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def prepared(self, path: str, *, suffixes: Sequence[str], limit: int) -> Path:
        """The real path of a file that a library opens itself; made, for its owner only, where there is none.

        It and what lies beside it under its name with a suffix are regular files of at most `limit` bytes, or not
        there. None is opened: closing it would take the locks away that this process holds on it.
        """
        with self._at(path, "open") as place:
            self._refuse_executed(place, is_file=True)
            for suffix in ("", *suffixes):
                try:
                    status = os.stat(place.name + suffix, dir_fd=place.directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not stat.S_ISREG(status.st_mode):
                    raise OSError("not a regular file")
                if status.st_size > limit:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            _make_private(place)
            return self.root.resolve() / place.path

    def make_directories(self, path: str) -> None:
        """The directory and all that lead to it; existing ones are fine."""
        with self._at(path, "mkdir", create=True) as place:
            self._refuse_executed(place)
            try:
                os.mkdir(place.name, 0o755, dir_fd=place.directory)
            except FileExistsError:
                os.close(enter(place.name, place.directory))

    def remove_file(self, path: str) -> None:
        """A file, or a link: what that points to stays."""
        with self._at(path, "remove", follow=False) as place:
            os.unlink(place.name, dir_fd=place.directory)

    def remove_directory(self, path: str) -> None:
        """An empty directory; a link to one is left alone."""
        with self._at(path, "remove", follow=False) as place:
            self._refuse_executed(place)
            os.rmdir(place.name, dir_fd=place.directory)

    def entries(self, path: str, *, dated: bool = False) -> tuple[str, list[Entry]]:
        """The directory's real path below the root, and what is in it, by name."""
        with self._at(path, "open") as place:
            fd = enter(place.name, place.directory)
            try:
                with os.scandir(fd) as found:
                    listed = [_entry(item, dated=dated) for item in found]
            finally:
                os.close(fd)
            return place.path, sorted(listed, key=lambda entry: entry.name)

    def shown(self, path: str) -> str:
        """The path as the user knows it, for messages and results."""
        return visible(os.path.normpath(self.root / path))

    @contextmanager
    def _at(
        self, path: str, verb: str, *, create: bool = False, follow: bool = True
    ) -> Iterator[ResolvedPath]:
        """Finds the place, and words what goes wrong there."""
        try:
            place = find(self._start(), path, self.own.marks(), create=create, follow=follow)
            try:
                yield place
            finally:
                os.close(place.directory)
        except Outside:
            raise FileRefused(f"{verb} {visible(path)}: path is outside the working directory") from None
        except Refused as refusal:
            words = f"{verb} {self.shown(path)}: {refusal}"
            raise FileRefused(words, errno.EACCES, reason=str(refusal)) from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            words = f"{verb} {self.shown(path)}: {reason}"
            raise FileRefused(words, error.errno, reason=reason) from error
        except ValueError as error:  # a NUL byte, half of a surrogate pair
            words = f"{verb} {visible(path)!r}: invalid argument"
            raise FileRefused(words, reason="invalid argument") from error

    def _start(self) -> WalkStart:
        real = self.root.resolve()
        if self.own.hold(real):
            raise Refused(OWN)
        if self.within and not any(real.is_relative_to(root) for root in self.within):
            raise Outside
        return WalkStart(self.root, real)

    def _writable_mode(self, place: ResolvedPath) -> int | None:
        """The mode of the file that is there, None if there is none. Opening it finds what replacing it
        would not: that it may not be written."""
        try:
            fd = os.open(place.name, os.O_WRONLY | _FILE, dir_fd=place.directory)
        except FileNotFoundError:
            return None
        try:
            return stat.S_IMODE(self._regular(fd).st_mode) & 0o777
        finally:
            os.close(fd)

    def _refuse_executed(self, place: ResolvedPath, *, is_file: bool = False) -> None:
        """The working directory may itself be such a place."""
        path = self.root.resolve() / place.path
        if any(path.is_relative_to(one) for one in self.read_only):
            raise Refused("this is read-only")
        if found := executed_place(path.parts, is_file=is_file) or repository_above(path.parent):
            raise Refused(f"other programs execute what is in {found}: file tools don't write there")

    def _regular(self, fd: int) -> os.stat_result:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_nlink > 1 and self.own.marks().bear(status):
            raise Refused(OWN)
        return status


def visible(name: str) -> str:
    """A file name as text that every encoder takes."""
    return os.fsencode(name).decode("utf-8", "replace") if _encodable(name) else ascii(name)


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except ValueError:
        return False
    return True


def _make_private(place: ResolvedPath) -> None:
    """An empty file with mode 0600, unless one is there. It is complete and closed before it gets its name."""
    draft = f".{secrets.token_hex(8)}.tmp"
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=place.directory))
    try:
        os.link(draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft, dir_fd=place.directory)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, place: ResolvedPath) -> bool:
    """Whether the open file still has the name that it was opened by."""
    try:
        there = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def files_of(context: ToolContext) -> Sandbox:
    """The files that a tool call may touch: those below the session's working directory."""
    return Sandbox.on(context.ground, context.working_dir)


def _entry(item: os.DirEntry[str], *, dated: bool) -> Entry:
    changed = 0.0
    if dated:
        try:
            changed = item.stat(follow_symlinks=False).st_mtime
        except OSError:
            pass  # gone meanwhile
    is_directory, is_file = item.is_dir(follow_symlinks=False), item.is_file(follow_symlinks=False)
    return Entry(item.name, is_directory, is_file, item.is_symlink(), changed)
