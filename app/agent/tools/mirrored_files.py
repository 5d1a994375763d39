"""A directory of small texts in a session's own, which is compared with what is kept elsewhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.agent.tools.path_walk import enter, regular_files
from app.agent.tools.sandbox import FileRefused, Sandbox

Stamp = tuple[int, int, int, int]
"""Inode, size, and the times of the last changes: another one means that the file may have changed."""

MOST_FILES: Final = 4000
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Looked:
    """A regular file. `data` is None if it is what was agreed on. The digest is empty if the file is too large."""

    stamp: Stamp
    sha256: str
    data: bytes | None


class MirroredFiles(Sandbox):
    """All methods raise FileRefused, as those of `Sandbox` do. No link is followed below the directory."""

    __slots__ = ()

    def look(
        self, base: str, known: Mapping[str, Looked], agreed: Mapping[str, str], *, limit: int
    ) -> dict[str, Looked] | None:
        """The files below `base`, by their paths, which begin with a slash; None if there is no such directory. A file
        that is known with its stamp is not read again, and one of more than `limit` bytes is not read at all. `agreed`
        are the digests of the files whose content nobody needs."""
        found: dict[str, Looked] = {}
        try:
            with self._at(base, "open", follow=False) as place:
                top = enter(place.name, place.directory)
                try:
                    for inner, directory, name, status in regular_files(top):
                        path, stamp = f"/{inner}", _stamp_of(status)
                        before = known.get(path)
                        if before is None or before.stamp != stamp:
                            before = self._read(directory, name, stamp, limit)
                        if before is not None and before.sha256 == agreed.get(path):
                            before = replace(before, data=None)
                        if before is not None:
                            found[path] = before
                        if len(found) > MOST_FILES:
                            raise OSError(f"it holds more than {MOST_FILES} files")
                finally:
                    os.close(top)
        except FileRefused as refusal:
            if not refusal.is_more_than_absent:
                return None
            raise
        return found

    def put(self, path: str, data: bytes, *, unless_changed: Stamp | None) -> bool:
        """Writes a file with the directories that lead to it, unless it is not the one with that stamp any more, by
        None: unless there is one."""
        self.make_directories(os.path.dirname(path))
        if self._stamp(path) != unless_changed:
            return False
        self.write(path, data)
        return True

    def take_away(self, path: str, *, unless_changed: Stamp) -> bool:
        """Removes a file, unless it has changed since it had that stamp."""
        if self._stamp(path) != unless_changed:
            return False
        self.remove_file(path)
        return True

    def _stamp(self, path: str) -> Stamp | None:
        with self._at(path, "open", follow=False) as place:
            try:
                status = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
            except FileNotFoundError:
                return None
            return _stamp_of(status)

    def _read(self, directory: int, name: str, stamp: Stamp, limit: int) -> Looked | None:
        """None for one that is gone by now, or can't be read."""
        if stamp[1] > limit:
            return Looked(stamp, "", None)
        try:
            fd = os.open(name, _FILE, dir_fd=directory)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            try:
                self._regular(fd)
            except Exception:  # no regular file, or one of the server's
                return None
            data = file.read(limit + 1)
        return Looked(stamp, hashlib.sha256(data).hexdigest(), data) if len(data) <= limit else None


def _stamp_of(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
