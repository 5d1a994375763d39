"""The versions that CI installs are within the bounds of `pyproject.toml`, and leave none open."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.harness.make import commands

ROOT = Path(__file__).parents[1]
LINES = [
    line for line in (ROOT / "requirements" / "ci.txt").read_text().splitlines() if not line.startswith("#")
]
PINS = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = canonicalize_name(PROJECT["name"])
OTHERS = PROJECT["optional-dependencies"]


def wanted(extra: str) -> Iterator[Requirement]:
    """The packages of an extra, and of the extras that it names in turn."""
    for one in map(Requirement, OTHERS[extra]):
        if canonicalize_name(one.name) == NAME:
            for inner in sorted(one.extras):
                yield from wanted(inner)
        else:
            yield one


ASKED = [*map(Requirement, PROJECT["dependencies"]), *wanted("dev")]


@pytest.mark.parametrize("requirement", ASKED, ids=str)
def test_the_lock_file_satisfies_the_project(requirement: Requirement) -> None:
    version = Version(PINS[canonicalize_name(requirement.name)])
    assert requirement.specifier.contains(version, prereleases=True)


def test_the_lock_file_has_names_and_versions_only() -> None:
    """No address of an index, and no file of the machine that made it."""
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


def test_the_lock_file_has_what_the_packages_need_in_turn() -> None:
    missing, todo, seen = set(), list(ASKED), set()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if (name, *one.extras) in seen:
            continue
        seen.add((name, *one.extras))
        if name not in PINS:
            missing.add(name)
        try:
            inner = map(Requirement, requires(one.name) or ())
        except PackageNotFoundError:  # it is for another system or Python
            continue
        extras = ["", *one.extras]
        todo += [
            each
            for each in inner
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    assert missing == {"pip"}, "every venv brings its own"


def test_make_install_dev_and_so_ci_installs_by_the_lock_file() -> None:
    (install,) = (line for line in commands("test") if " pip install " in line)
    assert install.endswith(" --constraint requirements/ci.txt")
    assert {"make lint", "make test"} <= set((ROOT / ".ci" / "run").read_text().splitlines())
