"""The program `git`, asked about a repository whose configuration nobody trusts.

Git obeys the configuration of a repository, which may name programs to run, files to read, and another place for the
repository itself. What matters to the commands of this server is switched off; whoever can write the configuration may
still find another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from app.roots import Ground

_SAFE: Final = (
    "--no-pager",
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "core.quotePath=false"),
)
_QUIET: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # no key of a repository allows one
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}
_DRIVERS: Final = r"^(filter\..*\.(clean|smudge|process)|diff\..*\.(textconv|command))$"
_PLACES: Final = ("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir", "--show-toplevel")

SCHEMES: Final = ("https",)
"""Schemes of the addresses from which repositories are cloned."""

NO_SUBMODULES: Final = "--ignore-submodules=all"
"""For `status` and `diff`: git would run in the submodules, and they have a configuration of their own."""

Run = Callable[[Sequence[str], Mapping[str, str]], tuple[int, bytes]]
"""Runs a program with these arguments, and these variables besides, in the session's directory; returns its exit status
and its output."""


class RepositoryRefused(Exception):
    """The repository, or a part of it, lies where the session must not read; the text says so."""


def ask(run: Run, directory: Path, ground: Ground, arguments: Sequence[str]) -> tuple[int, bytes]:
    """The exit status and the output of a git command in a session's directory. Raises RepositoryRefused, and whatever
    `run` raises."""
    top = ground.top(directory)
    environment = {**_QUIET, "GIT_CEILING_DIRECTORIES": str(top.parent)}

    def git(*words: str) -> tuple[int, bytes]:
        return run(["git", *_SAFE, *words], environment)

    for line in git(*_PLACES)[1].decode(errors="surrogateescape").splitlines():
        place = Path(line).resolve() if line.startswith("/") else top
        if not place.is_relative_to(top) or ground.own.hold(place):
            raise RepositoryRefused("the repository lies outside of what this session may read")
    known = git("config", "--name-only", "--get-regexp", _DRIVERS)[1].decode(errors="replace").split()
    silenced = [word for key in dict.fromkeys(known) for word in ("-c", f"{key}=")]
    return git(*silenced, *arguments)
