"""Files that the server puts into a session's directory, or takes out of it: long ones, piece by piece."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from app.agent.tools.sandbox import Sandbox

READ_ONLY: Final = 0o444
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file. `changed` is in nanoseconds, by the clock of the disk."""

    path: str
    size: int
    changed: int


class PlacedFiles(Sandbox):
    """All methods raise FileRefused, as those of `Sandbox` do."""

    __slots__ = ()

    def place(self, path: str, pieces: Iterable[bytes], *, changed: int) -> None:
        """Puts a file there that may only be read, in the place of whatever file was there; all of it or nothing.
        `changed` becomes the time of its last change."""
        with self._at(path, "place", create=True) as place:
            draft = f".{secrets.token_hex(8)}.tmp"
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=place.directory)
            try:
                with os.fdopen(fd, "wb") as file:
                    for piece in pieces:
                        file.write(piece)
                    file.flush()
                    os.fchmod(file.fileno(), READ_ONLY)
                    os.utime(file.fileno(), ns=(changed, changed))
                os.replace(draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
            except BaseException:
                os.unlink(draft, dir_fd=place.directory)
                raise

    def place_directory(self, path: str, source: Path) -> None:
        """Moves a directory there, where nothing is yet. It lies on the same disk."""
        with self._at(path, "place", create=True, follow=False) as place:
            os.rename(source, place.name, dst_dir_fd=place.directory)

    def look(self, path: str) -> Found:
        """A regular file. No link is followed to it."""
        with self.opened(path) as (found, _):
            return found

    @contextmanager
    def opened(self, path: str) -> Iterator[tuple[Found, BinaryIO]]:
        """A regular file, to be read. No link is followed to it."""
        with self._at(path, "open", follow=False) as place:
            fd = os.open(place.name, os.O_RDONLY | _FILE, dir_fd=place.directory)
            with os.fdopen(fd, "rb") as file:
                status = self._regular(fd)
                if status.st_nlink > 1 or not stat.S_ISREG(status.st_mode):
                    raise OSError("it has another name")
                yield Found(place.path, status.st_size, status.st_mtime_ns), file
