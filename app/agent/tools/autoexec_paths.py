"""Places in a project from which other programs execute something without being asked to run the project's code.

`git status` runs what `.git/config` names; an editor runs tasks when it opens a folder. A file tool that writes
there would turn an approved write into a command that no one approved. Code of the project itself is no such place:
people and tools run it knowingly.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PLACES: Final[tuple[tuple[str, ...], ...]] = (
    (".git",),  # hooks, and commands in config: fsmonitor, filters, pagers
    (".hg",),  # hooks in hgrc
    (".svn",),
    (".jj",),
    (".husky",),  # hooks that git is told to run
    (".githooks",),
    (".pre-commit-config.yaml",),
    ("lefthook.yml",),
    (".envrc",),  # direnv, on entering the directory
    (".direnv",),
    (".mise.toml",),  # mise likewise
    ("mise.toml",),
    (".vscode",),  # tasks and interpreters, on opening the folder
    (".idea",),
    (".cursor",),
    (".zed",),
    (".devcontainer",),
    (".devcontainer.json",),
    (".exrc",),  # vim and its kin, on starting in the directory
    (".nvimrc",),
    (".nvim.lua",),
    (".lvimrc",),
    (".dir-locals.el",),
    (".gdbinit",),
    (".lldbinit",),
    (".yarnrc.yml",),  # names the program that every `yarn` runs
    (".mcp.json",),  # commands of tool servers, on starting an agent there
    (".claude", "settings.json"),  # commands of hooks
    (".claude", "settings.local.json"),
    (".claude", "hooks"),
    (".gemini", "settings.json"),
    (".codex",),
    # Where the directory is somebody's home:
    *((name,) for name in (".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".vimrc")),
    *(
        (name,)
        for name in (".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".xprofile", ".xsession")
    ),
    (".gitconfig",),
    (".ssh",),
    *((".config", name) for name in ("git", "fish", "systemd", "autostart", "environment.d", "nvim")),
)

_REPOSITORY: Final = "HEAD"
"""A name by which git knows a repository, wherever it lies: `git status` in a directory with it, `objects`, `refs`
and a `config` runs what that names."""


def executed_place(names: Sequence[str], *, is_file: bool = False) -> str:
    """The place that a path lies in, as it is written there; empty if it lies in none. `is_file`: what the path names
    is a file, or to be one."""
    if is_file and names and _bare(names[-1]) == _REPOSITORY.casefold():
        return names[-1]
    bare = [_bare(name) for name in names]
    for place in PLACES:
        for start in range(len(bare) - len(place) + 1):
            if tuple(bare[start : start + len(place)]) == place:
                return "/".join(names[start : start + len(place)])
    return ""


def repository_above(path: Path) -> Path | None:
    """The directory at or above the path that git takes for the inside of a repository, whatever its name is."""
    return next((place for place in (path, *path.parents) if _is_repository(place)), None)


def _is_repository(place: Path) -> bool:
    return os.path.lexists(place / _REPOSITORY) and (
        os.path.lexists(place / "commondir")
        or (os.path.lexists(place / "objects") and os.path.lexists(place / "refs"))
    )


def _bare(name: str) -> str:
    """As file systems that fold names compare them: without case, invisible characters, and dots at the end.
    `git~1` is what FAT calls `.git`."""
    shown = "".join(character for character in name if unicodedata.category(character) != "Cf")
    folded = unicodedata.normalize("NFKC", shown).casefold().split(":")[0].rstrip(". ")
    return ".git" if folded == "git~1" else folded
