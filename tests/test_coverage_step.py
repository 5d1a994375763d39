"""`make coverage` runs the tests of the packages that it measures, and CI calls it."""

from __future__ import annotations

import tomllib

from tests.harness.make import ROOT, commands

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]


def test_the_measured_packages_are_those_whose_tests_run() -> None:
    run = next(line for line in commands("coverage") if "coverage run" in line)
    tested = [word for word in run.split() if word.startswith("tests/")]
    assert all((ROOT / place).exists() for place in tested)
    packages = [place for place in tested if (ROOT / place).is_dir()]
    measured = [package.replace("tests/", "app/") for package in packages]
    assert measured == SETTINGS["run"]["source"]
    assert all((ROOT / place).is_dir() for place in SETTINGS["run"]["source"])


def test_ci_fails_below_the_figure() -> None:
    assert commands("coverage")[-1] == ".venv/bin/coverage report"
    assert SETTINGS["report"]["fail_under"] > 90
    assert "make coverage" in (ROOT / ".ci" / "run").read_text().splitlines()
