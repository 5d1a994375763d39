"""The guide for people who change Baton, the hooks before a commit, and the templates name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.harness.make import commands

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
PATHS = re.findall(r"`([\w.-]+(?:/[\w.-]+)*/[\w.-]*)`", GUIDE)
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))


def test_the_guide_names_files_of_each_kind_of_change() -> None:
    assert {"app/agent/tools/registry.py", "app/web/resource.py", "app/store/migrate.py"} <= set(PATHS)


@pytest.mark.parametrize("name", sorted(set(PATHS)))
def test_a_file_that_the_guide_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_guide_says_what_each_folder_holds() -> None:
    described = set(re.findall(r"^\| `([\w/]+)/` \|", GUIDE, re.MULTILINE))
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("app/*/__init__.py")}
    assert described == packages | {
        "agents",
        "anthropic_standin",
        "baton_client",
        "bench",
        "deploy",
        "docs",
        "requirements",
        "tests",
    }


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_commands_of_the_guide_are_targets_of_make() -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", GUIDE))
    assert {"run", "test", "check", "bench", "chaos"} <= named
    assert named <= targets()


def test_the_hooks_before_a_commit_are_commands_of_make_lint() -> None:
    """With the programs of .venv: nothing is downloaded, and no hook has a rule of its own."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    lint = {line.removesuffix(" .") for line in commands("lint")}
    entries = {hook["entry"] for repository in hooks for hook in repository["hooks"]}
    assert {hook["language"] for repository in hooks for hook in repository["hooks"]} == {"system"}
    assert entries <= lint
    assert any("ruff" in entry for entry in entries)
    assert any("mypy" in entry for entry in entries)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_of_an_issue_says_what_it_is_for(path: Path) -> None:
    head = yaml.safe_load(path.read_text().split("---\n")[1])
    assert head["name"]
    assert head["about"]


def test_there_are_templates_for_a_defect_a_proposal_and_a_change() -> None:
    assert [path.stem for path in TEMPLATES] == ["bug", "proposal"]
    assert "make check" in (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text()
