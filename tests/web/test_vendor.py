"""Files of other projects: unmodified, with their licences, and part of what is installed."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Final

import pytest

from app.web.console import FILES
from tests.harness.process import ROOT

FOLDERS: Final = [FILES / "vendor", ROOT / "tests" / "vendor"]
PACKAGES: Final = sorted(path for folder in FOLDERS for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_each_file_is_as_it_was_published(folder: Path) -> None:
    lines = (line.split() for line in (folder / "checksums.sha256").read_text().splitlines())
    expected = {name: digest for digest, name in lines}
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*/*")
    }
    assert found == expected


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_package_has_its_licence_and_a_line_that_says_where_it_is_from(package: Path) -> None:
    assert (package / "LICENSE").read_text().strip()
    told = (package.parent / "README.md").read_text()
    (line,) = [line for line in told.splitlines() if line.startswith(f"| `{package.name}` |")]
    assert "`sha512-" in line


def test_the_wheel_takes_all_that_the_console_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["app"]
    shipped = {path for pattern in patterns for path in (ROOT / "app").glob(pattern)}
    assert {path for path in FILES.rglob("*") if path.is_file()} <= shipped
