"""Places in a project from which other programs execute something without being asked to run the project's code.

`git status` runs what `.git/config` names; an editor runs tasks when it opens a folder. A file tool that writes
there would turn an approved write into a command that no one approved. Code of the project itself is no such place:
people and tools run it knowingly.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

PLACES: Final[tuple[tuple[str, ...], ...]] = (
    (".git",),  # hooks, and commands in config: fsmonitor, filters, pagers
    (".hg",),  # hooks in hgrc
    (".svn",),
    (".jj",),
    (".husky",),  # hooks that git is told to run
    (".githooks",),
    (".envrc",),  # direnv, on entering the directory
    (".direnv",),
    (".vscode",),  # tasks and interpreters, on opening the folder
    (".idea",),
    (".cursor",),
    (".mcp.json",),  # commands of tool servers, on starting an agent there
    (".claude", "settings.json"),  # commands of hooks
    (".claude", "settings.local.json"),
)


def executed_place(names: Sequence[str]) -> str:
    """The place that a path lies in, as it is written there; empty if it lies in none."""
    bare = [_bare(name) for name in names]
    for place in PLACES:
        for start in range(len(bare) - len(place) + 1):
            if tuple(bare[start : start + len(place)]) == place:
                return "/".join(names[start : start + len(place)])
    return ""


def _bare(name: str) -> str:
    """As file systems that fold names compare them: without case, invisible characters, and dots at the end.
    `git~1` is what FAT calls `.git`."""
    shown = "".join(character for character in name if unicodedata.category(character) != "Cf")
    folded = unicodedata.normalize("NFKC", shown).casefold().split(":")[0].rstrip(". ")
    return ".git" if folded == "git~1" else folded
