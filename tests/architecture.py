"""Draws the packages of Baton from their imports: `make picture`. Also names the longest chain of imports."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "design.md"
PACKAGES: Final = ("app", "anthropic_standin", "baton_client")
_PICTURE: Final = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)

Arrows = Mapping[str, frozenset[str]]
"""By importer: what it imports."""


def floors() -> list[list[str]]:
    """The floors that `lint-imports` checks, the highest first."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / "setup.cfg")
    lines = rules["importlinter:contract:floors"]["layers"].split("\n")
    return [sorted(re.split(r" \| ", line)) for line in lines if line]


def imports() -> Arrows:
    """By module of ours: the modules of ours that it imports."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def between_packages(modules: Arrows) -> Arrows:
    """Imports between what has a floor in `app`, and the two packages beside it."""
    arrows: dict[str, set[str]] = {}
    for importer, imported in modules.items():
        above = _package(importer)
        arrows.setdefault(above, set()).update(_package(one) for one in imported)
    return {above: frozenset(below - {above, "app"}) for above, below in arrows.items() if above != "app"}


def without_detours(arrows: Arrows) -> Arrows:
    """Without each arrow from whose beginning other arrows lead to its end."""

    @cache
    def reached(package: str) -> frozenset[str]:
        return frozenset().union(*({one} | reached(one) for one in arrows[package]))

    return {
        above: frozenset(one for one in below if not any(one in reached(other) for other in below - {one}))
        for above, below in arrows.items()
    }


def picture(arrows: Arrows) -> str:
    rows = [" & ".join(floor) for floor in floors()]
    lines = ["flowchart TD"]
    lines += [
        f"    {above} ~~~ {below}" for above, below in pairwise(rows)
    ]  # links that can't be seen make the rows
    lines += [f"    {name}" for name in PACKAGES[1:]]
    lines += [f"    {above} --> {one}" for above in sorted(arrows) for one in sorted(arrows[above])]
    return "\n".join(lines) + "\n"


def stored_picture() -> str:
    found = _PICTURE.search(DOCUMENT.read_text())
    assert found is not None
    return found[0]


def longest_chain(modules: Arrows) -> list[str]:
    """Each module imports the next one. RecursionError if imports make a circle."""

    @cache
    def below(module: str) -> tuple[str, ...]:
        return (module, *longest(modules[module]))

    def longest(beginnings: Iterable[str]) -> tuple[str, ...]:
        nothing: tuple[str, ...] = ()
        return max(map(below, sorted(beginnings)), key=len, default=nothing)

    return list(longest(modules))


def _package(module: str) -> str:
    names = module.split(".")
    return names[0] if names[0] != "app" or len(names) == 1 else names[1]


def main() -> None:
    modules = imports()
    new = picture(without_detours(between_packages(modules)))
    DOCUMENT.write_text(_PICTURE.sub(lambda _: new, DOCUMENT.read_text(), count=1))
    chain = longest_chain(modules)
    print(f"the longest chain of imports has {len(chain)} modules:", *chain, sep="\n  ")  # noqa: T201


if __name__ == "__main__":
    main()
