"""Turns a command into one that bubblewrap runs in namespaces of its own.

A caged command sees the session's directory, a read-only system, an empty /tmp and home, and the processes that it has
started. It has no network unless that was asked for. Files of the server that lie in what it sees are covered.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.agent.tools.path_walk import open_directory
from app.agent.tools.processes import Command
from app.agent.tools.session_places import MANAGED, PLACES

SYSTEM: Final = (*("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"), *("/etc", "/nix/store"))
"""Directories that every command can read, as far as they are there."""

_PROGRAM: Final = "bwrap"
_USUAL: Final = "/usr/bin/bwrap"
_SAME: Final = """\
[ "$(PATH=/usr/bin:/bin:/run/current-system/sw/bin stat -c %d:%i "$1")" = "$2" ] || {
    echo "$1 is another directory by now" >&2; exit 126
}
shift 2
exec "$@"
"""
"""bubblewrap opens the directory by its path, through whatever link another session's command has put there since."""

_RESOLVER: Final = Path("/etc/resolv.conf")
_OF_THE_CAGE: Final = (Path("/proc"), Path("/dev"))
_NAMESPACES: Final = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
    "--die-with-parent",
)
_OF_THE_LINKER: Final = ("LD_", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "MALLOC_")
"""Variables that make a program load or do something before its first line. bubblewrap must not heed the command's."""


@dataclass(frozen=True, slots=True)
class Cage:
    """`program` is bubblewrap's absolute path; `hidden` are files and directories of the server; `readable` are
    directories that commands can read beside the system's; `read_only` are directories in the session's own that they
    can't change. With `network` they have the server's, else none."""

    program: str
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    network: bool = False
    read_only: tuple[Path, ...] = ()

    @classmethod
    def find(cls, *, hidden: Sequence[Path] = (), readable: Sequence[Path] = ()) -> Cage:
        """Looks for bubblewrap in the server's PATH. Where there is none, each command fails with OSError."""
        return cls(shutil.which(_PROGRAM) or _USUAL, tuple(hidden), tuple(readable))

    def allowing(self, *, network: bool) -> Cage:
        return replace(self, network=network)

    def keeping(self, read_only: Sequence[Path]) -> Cage:
        return replace(self, read_only=tuple(read_only))


def caged(command: Command, cage: Cage | None, directory: Path) -> Command:
    """The command as it is started: in the cage, where it sees `directory`, its session's; unchanged if there is no
    cage. Raises OSError if the directory can't be shown."""
    if cage is None:
        return command
    environment = {**command.environment, "TMPDIR": "/tmp"}  # noqa: S108 - a /tmp of its own
    checked = _checked(directory, cage)
    shown = [
        *(cage.program, *_NAMESPACES),
        *(["--share-net"] if cage.network else []),
        *_visible(cage, directory, environment),
        *("--chdir", str(command.working_dir)),
        *_late(environment),
        *("--", "/bin/sh", "-c", _SAME, "sh", str(directory), checked),
        *command.arguments,
    ]
    early = {name: value for name, value in environment.items() if not name.startswith(_OF_THE_LINKER)}
    return replace(command, arguments=shown, working_dir=directory, environment=early, caged=True)


def _checked(directory: Path, cage: Cage) -> str:
    """Which directory it is, as device and inode. A link would open what it points to, the system would be writable,
    and the server's files are no session's."""
    if directory.resolve(strict=True) != directory:
        raise OSError(f"{directory} leads through a link")
    if any(Path(path).is_relative_to(directory) for path in (*SYSTEM, *_OF_THE_CAGE)):
        raise OSError(f"{directory} holds the system, which no command may write to")
    if any(directory.is_relative_to(path) for path in cage.hidden):
        raise OSError(f"{directory} belongs to the server")
    for path in cage.read_only:
        if path.resolve(strict=True) != path or not path.is_relative_to(directory):
            raise OSError(f"{path} leads through a link")
    fd = open_directory(directory)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return f"{found.st_dev}:{found.st_ino}"


def _visible(cage: Cage, directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Later mounts cover earlier ones."""
    system = [*map(Path, SYSTEM), *cage.readable]
    for path in system:
        if path.is_symlink() and not path.readlink().is_absolute():
            yield from ("--symlink", str(path.readlink()), str(path))
        else:
            yield from ("--ro-bind-try", str(path), str(path))
    if cage.network and _RESOLVER.is_symlink():
        real = str(_RESOLVER.resolve())
        yield from ("--ro-bind-try", real, real)
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108 - a /tmp of its own
    home = Path(environment.get("HOME", ""))
    if home.is_absolute() and not any(_overlap(home, path) for path in (*system, *_OF_THE_CAGE)):
        yield from ("--tmpfs", str(home))
    # A directory that commands may read can lie in the home, and is shown again.
    for path in cage.readable:
        yield from ("--ro-bind-try", str(path), str(path))
    yield from ("--bind", str(directory), str(directory))
    if directory.name.startswith(MANAGED):
        for name, below in PLACES.items():
            place = Path(name)
            if not any(_overlap(place, path) for path in (*system, directory, home)):
                yield from ("--symlink", str(directory / below), name)
    for path in cage.read_only:
        yield from ("--ro-bind", str(path), str(path))
    for path in cage.hidden:
        if any(path.is_relative_to(place) for place in (directory, *system)):
            yield from _covered(path)
    yield from ("--remount-ro", "/")


def _covered(path: Path) -> Iterator[str]:
    if path.is_symlink() or not path.exists():
        return  # what it points to is covered for itself
    if path.is_dir():
        yield from ("--tmpfs", str(path), "--remount-ro", str(path))
    else:
        yield from ("--ro-bind", os.devnull, str(path))


def _late(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name.startswith(_OF_THE_LINKER):
            yield from ("--setenv", name, value)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
