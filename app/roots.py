"""Where sessions may work, and which files there belong to the server and to no session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

NAME: Final = "{name}"
"""As a component of a root: the name of the access token that a session belongs to."""

_WITHOUT_NAME: Final = "~"  # no token can have this name


@dataclass(frozen=True, slots=True)
class Marks:
    """How to recognise the server's files while a path is walked: by inode, and by name where none is there yet."""

    inodes: frozenset[tuple[int, int]] = frozenset()
    names: frozenset[tuple[int, int, str]] = frozenset()

    def bear(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self.inodes

    def name(self, directory: os.stat_result, name: str) -> bool:
        return (directory.st_dev, directory.st_ino, _folded(name)) in self.names


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """Files and directories of the server. No session reads or writes them, wherever they lie."""

    paths: tuple[Path, ...] = ()

    @classmethod
    def of(cls, paths: Iterable[Path]) -> OwnFiles:
        """Each path as it is written and as it resolves: a link to a file is the server's like the file."""
        absolute = [Path(os.path.abspath(path)) for path in paths]
        return cls(tuple(dict.fromkeys([*absolute, *(path.resolve() for path in absolute)])))

    def hold(self, path: Path) -> bool:
        """Whether `path`, which is resolved, is one of them or lies in one, in whatever spelling: a Mac's disk
        takes `.BATON` for `.baton`."""
        if any(path.is_relative_to(own) for own in self.paths):
            return True
        marks = self.marks()
        return any(
            marks.bear(status) for place in (path, *path.parents) if (status := _status(place)) is not None
        )

    def marks(self) -> Marks:
        """As the disk is now: files come and go under the same name."""
        inodes, names = set(), set()
        for path in self.paths:
            if (status := _status(path)) is not None:
                inodes.add((status.st_dev, status.st_ino))
            if (parent := _status(path.parent)) is not None:
                names.add((parent.st_dev, parent.st_ino, _folded(path.name)))
        return Marks(frozenset(inodes), frozenset(names))


@dataclass(frozen=True, slots=True)
class Ground:
    """The files that the sessions of one owner may touch: everything below `roots` that is not the server's own.
    `home` is the server's home directory, if no session can write there; `spelled` are the roots as the operator
    wrote them, with links in them. Tools write nothing in `read_only`."""

    roots: tuple[Path, ...] = ()
    own: OwnFiles = field(default_factory=OwnFiles)
    home: Path | None = None
    spelled: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()

    def allows(self, directory: Path) -> bool:
        """Whether a session may work in this directory, which is resolved."""
        return not self.own.hold(directory) and any(directory.is_relative_to(root) for root in self.roots)

    def top(self, directory: Path) -> Path:
        """The highest directory that is read for a session of this working directory: its root, or itself."""
        resolved = directory.resolve()
        above = [root for root in self.roots if resolved.is_relative_to(root)]
        return min(above, key=lambda root: len(root.parts)) if above else resolved


@dataclass(frozen=True, slots=True)
class Roots:
    """The directories of BATON_ROOTS. A `{name}` in one stands for the owner of a session."""

    patterns: tuple[Path, ...]
    own: OwnFiles = field(default_factory=OwnFiles)
    home: Path | None = None

    def of(self, owner: str) -> Ground:
        """The ground of an owner's sessions; makes the directories that carry the owner's name."""
        spelled = tuple(_directory(pattern, owner) for pattern in self.patterns)
        return Ground(tuple(path.resolve() for path in spelled), self.own, self.home, spelled)

    @property
    def common(self) -> Ground:
        """For what belongs to no session: the first root, or what is above its `{name}`."""
        return Ground((above_name(self.patterns[0]).resolve(),), self.own, self.home)


def covers(pattern: Path, path: Path) -> bool:
    """Whether the path lies in the root of any owner."""
    wanted = pattern.resolve().parts
    given = path.resolve().parts
    return len(given) >= len(wanted) and all(
        part in (NAME, other) for part, other in zip(wanted, given, strict=False)
    )


def holds_root(path: Path, pattern: Path) -> bool:
    """Whether a root lies in this directory, or is it."""
    return above_name(pattern).resolve().is_relative_to(path.resolve())


def _directory(pattern: Path, owner: str) -> Path:
    if NAME not in pattern.parts:
        return pattern
    directory = Path(*(owner or _WITHOUT_NAME if part == NAME else part for part in pattern.parts))
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        pass  # the code that works there reports the error
    return directory


def above_name(pattern: Path) -> Path:
    """The directory that all owners have in common."""
    parts = pattern.parts
    return Path(*parts[: parts.index(NAME)]) if NAME in parts else pattern


def _folded(name: str) -> str:
    """As the disk compares names: as a rule that of a Mac doesn't tell capital letters from small ones."""
    return name.casefold() if sys.platform == "darwin" else name


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
