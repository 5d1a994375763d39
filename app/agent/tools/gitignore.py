"""Files that version control hides: `.git` and whatever the `.gitignore` files on the way name."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from app.agent.tools.sandbox import FileRefused, Sandbox

MAX_RULES: Final = 2_000  # of one file; each is a pattern to compile
MAX_RULES_OF_ALL: Final = 20_000
SECONDS_OF_ALL: Final = 20.0  # of processor time, to read the rules of one walk and to compare them
MAX_CHARACTERS: Final = 1 << 18  # of one file; what follows is not read
MAX_LINE: Final = 4_096  # characters; no path is longer

_MAX_FILE: Final = 1 << 20
_BRACKET: Final = re.compile(r"\[!?+\]?+[^\]]*\]|\[")  # a class, or what only looks like the beginning of one


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a .gitignore. `names` holds a pattern for each name of a path; None is any number of
    names (`**`)."""

    names: tuple[re.Pattern[str] | None, ...]
    negated: bool
    only_directories: bool

    def matches(self, path: Sequence[str], is_directory: bool) -> bool:
        return (is_directory or not self.only_directories) and _match(self.names, path)


class Ignored:
    """The rules below one working directory. Made for one call: files change between calls.

    The rules of the repository above the working directory count too; whether they hide the working
    directory itself does not matter. When SECONDS_OF_ALL are used up, the rest is shown.
    """

    def __init__(self, sandbox: Sandbox, *, top: Path | None = None) -> None:
        """No rule is read above `top`, without it none above the working directory."""
        self._sandbox = sandbox
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._hidden: dict[str, bool] = {}
        self._left = MAX_RULES_OF_ALL
        self._seconds_left = SECONDS_OF_ALL
        self._above = _rules_above(sandbox, top or sandbox.root)

    def hides(self, path: str, is_directory: bool) -> bool:
        """`path` is below the root, with `/`, and without links, `.` and `..`."""
        if not path:
            return False
        names = path.split("/")
        folders = ("/".join(names[:depth]) for depth in range(1, len(names)))
        return any(map(self._hides_folder, folders)) or self._hides_itself(path, is_directory)

    def _hides_folder(self, folder: str) -> bool:
        if folder not in self._hidden:
            self._hidden[folder] = self._hides_itself(folder, True)
        return self._hidden[folder]

    def _hides_itself(self, path: str, is_directory: bool) -> bool:
        names = path.split("/")
        if names[-1] == ".git":
            return True
        if self._seconds_left <= 0:
            return False
        begun = time.thread_time()
        decided = self._decide(names, is_directory)
        self._seconds_left -= time.thread_time() - begun
        return decided

    def _decide(self, names: list[str], is_directory: bool) -> bool:
        """The innermost file decides first, and in it the last line that matches."""
        for depth in range(len(names) - 1, -1, -1):
            for rule in reversed(self._of("/".join(names[:depth]))):
                if rule.matches(names[depth:], is_directory):
                    return not rule.negated
        for prefix, rules in self._above:
            for rule in reversed(rules):
                if rule.matches([*prefix, *names], is_directory):
                    return not rule.negated
        return False

    def _of(self, folder: str) -> tuple[Rule, ...]:
        if folder not in self._rules:
            self._rules[folder] = _rules_in(self._sandbox, folder, self._left)
            self._left -= len(self._rules[folder])
        return self._rules[folder]


def parse(text: str, *, limit: int = MAX_RULES) -> tuple[Rule, ...]:
    """The rules of one .gitignore, in order, and not more than `limit`; a line that says nothing, or too much, gives
    none."""
    lines = text.removeprefix("\ufeff")[:MAX_CHARACTERS].split("\n")
    rules = (_parse_line(line) for line in lines if len(line) <= MAX_LINE)
    return tuple(islice((rule for rule in rules if rule is not None), limit))


def _parse_line(line: str) -> Rule | None:
    line = line.removesuffix("\r")
    bare = line.rstrip(" ")
    if bare.endswith("\\") and bare != line:
        bare += " "  # the backslash keeps one space
    if not bare or bare.startswith("#"):
        return None
    negated = bare.startswith("!")
    pattern = bare[1:] if negated else bare
    only_directories = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    if not pattern:
        return None
    names = pattern.removeprefix("/").split("/") if "/" in pattern else ["**", pattern]
    if names[-1] == "**":
        names.append("*")  # `a/**` is everything in a, not a
    try:
        compiled = tuple(None if name == "**" else _compile(name) for name in names)
    except re.error:
        return None
    return Rule(compiled, negated, only_directories)


def _compile(name: str) -> re.Pattern[str]:
    """One name's glob. fnmatch takes each `*` for as little as it can, so no name makes it run away."""
    without_escapes = re.sub(r"\\(.)", lambda hit: f"[{hit[1]}]" if hit[1] in "*?[" else hit[1], name)
    return re.compile(fnmatch.translate(_with_open_brackets(without_escapes.replace("[^", "[!"))))


def _with_open_brackets(glob: str) -> str:
    """The same glob with a bracket that nothing closes written as a class of its own: fnmatch would look for the end of
    each of them, through all of the rest."""
    last = glob.rfind("]") + 1
    head = _BRACKET.sub(lambda found: "[[]" if found[0] == "[" else found[0], glob[:last])
    return head + glob[last:].replace("[", "[[]")


def _match(pattern: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> bool:
    """Steps through both; on a mismatch the last `**` takes one name more. Never worse than their product."""
    p = n = 0
    resume: tuple[int, int] | None = None
    while n < len(names):
        current = pattern[p] if p < len(pattern) else ...
        if current is None:
            p, resume = p + 1, (p + 1, n)
        elif isinstance(current, re.Pattern) and current.match(names[n]):
            p, n = p + 1, n + 1
        elif resume is not None:
            p, n = resume[0], resume[1] + 1
            resume = (p, n)
        else:
            return False
    return all(rest is None for rest in pattern[p:])


def _rules_above(sandbox: Sandbox, top: Path) -> list[tuple[tuple[str, ...], tuple[Rule, ...]]]:
    """The repository's files above the root, innermost first, each with the names that lead down to it."""
    root = sandbox.root.resolve()
    above: list[tuple[tuple[str, ...], tuple[Rule, ...]]] = []
    if (root / ".git").exists():
        return above
    for folder in root.parents:
        if not folder.is_relative_to(top):
            return []
        above.append(
            (root.relative_to(folder).parts, _rules_in(replace(sandbox, root=top), folder, MAX_RULES))
        )
        if (folder / ".git").exists():
            return above
    return []


def _rules_in(sandbox: Sandbox, folder: Path | str, limit: int) -> tuple[Rule, ...]:
    try:
        data = sandbox.read(f"{folder or '.'}/.gitignore", _MAX_FILE).data
    except FileRefused:
        return ()
    return parse(data.decode("utf-8", "surrogateescape"), limit=min(limit, MAX_RULES))
