"""Reads the cases: one file each, below the directory of its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
CASES: Final = HERE / "cases"
WAITING: Final = HERE / "waiting.txt"

_COMMON: Final = frozenset({"about", "from", "doors", "expect", "at"})

Expected = Mapping[str, Any]


class InvalidCase(ValueError):
    """A file that is no case; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """All that the cases of one directory have in common: `doors` are all the ways in which such a thing can come,
    `takes` the keys that say what it is, `tells` the keys of what is seen, `usual` what is expected unasked."""

    doors: tuple[str, ...]
    takes: frozenset[str]
    tells: frozenset[str]
    usual: Expected


@dataclass(frozen=True, slots=True)
class Case:
    """`given` is the odd thing; `expected` says by door what must come of it."""

    kind: str
    name: str
    about: str
    source: str
    given: Mapping[str, Any]
    expected: Mapping[str, Expected]

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.name}"


def read_case(path: Path, kind: Kind) -> Case:
    body = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    where = f"{path.parent.name}/{path.name}"
    if not isinstance(body, dict):
        raise InvalidCase(f"{where}: it is no mapping")
    for key in ("about", "from"):
        if not isinstance(body.get(key), str) or not body[key].strip():
            raise InvalidCase(f"{where}: it says nothing under {key!r}")
    _known(body, _COMMON | kind.takes, where)
    doors = body.get("doors", list(kind.doors))
    _known(doors, kind.doors, f"{where}: doors")
    common, at = body.get("expect") or {}, body.get("at") or {}
    _known(at, doors, f"{where}: at")
    for place, part in (("expect", common), *at.items()):
        _known(part, kind.tells | {f"not_{key}" for key in kind.tells}, f"{where}: {place}")
    if not common and not at:
        raise InvalidCase(f"{where}: it expects nothing")
    return Case(
        path.parent.name,
        path.stem,
        body["about"],
        body["from"],
        {key: value for key, value in body.items() if key not in _COMMON},
        {door: _meant({**kind.usual, **common, **at.get(door, {})}) for door in doors},
    )


def _meant(expected: Expected) -> Expected:
    """Without what is null: nothing is expected there."""
    return {key: wanted for key, wanted in expected.items() if wanted is not None}


def _known(found: Collection[str], known: Collection[str], where: str) -> None:
    for key in found:
        if key not in known:
            raise InvalidCase(f"{where}: {key!r} is none of {', '.join(sorted(known))}")


def cases_of(kind: str, what: Kind) -> Iterator[Case]:
    for path in sorted((CASES / kind).glob("*.yaml")):
        yield read_case(path, what)


def waiting() -> dict[str, str]:
    """By the id of a case, what it waits for."""
    lines = (line.split("#")[0].split() for line in WAITING.read_text().splitlines())
    return {words[0]: " ".join(words[1:]) for words in lines if words}
