"""No text sends a reader to the index for this distribution; the advice is a command for this installation."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest

from app import distribution
from app.distribution import Extra, install_command
from tests.harness.process import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: list[Extra] = list(get_args(Extra))
NAMES_OF_OURS = ("baton", distribution.NAME)

INSTALLER = r"(?:pip3? +install|pipx +(?:install|run)|uvx|uv +(?:add|tool +install))"
WORDS = r"""((?:[-\w./={}]+|'[^']*'|"[^"]*"|[ ](?=[^ ]))+)"""
COMMAND = re.compile(rf"\b{INSTALLER} +{WORDS}")


def texts() -> list[Path]:
    """Everything of the project that a person or the program may read an instruction from."""
    single = [
        ROOT / name for name in ("Makefile", "README.md", "CHANGELOG.md", "SECURITY.md", "gunicorn.conf.py")
    ]
    folders = ("anthropic_standin", "app", "baton_client", "agents", "bench", "deploy", "docs")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc"]
    return [path for path in [*single, *found] if path.is_file()]


def installed_by_name(text: str) -> list[str]:
    """The words of each `pip install` in a text that name a distribution of the index which should be ours."""
    words = [word for command in COMMAND.findall(text) for word in shlex.split(command)]
    return [word for word in words if re.fullmatch(rf"({'|'.join(NAMES_OF_OURS)})(\[.*|[<>=~!].*)?", word)]


@pytest.mark.parametrize(
    "text",
    [
        "pip install baton",
        "pip install 'baton[mcp]'",
        'pip install -U "baton-server>=1"',
        "pip install rich baton",
        "uvx baton",
        "pipx install baton",
    ],
)
def test_an_advice_to_install_by_name_is_recognized(text: str) -> None:
    assert installed_by_name(f"Do this: `{text}`.") != []


def test_no_text_says_to_install_ours_from_the_index() -> None:
    found = {}
    for path in texts():
        text = path.read_bytes().decode(errors="replace")
        if wrong := installed_by_name(text) + re.findall(r"\bbaton(?:-server)?\[[a-z]", text):
            found[str(path.relative_to(ROOT))] = wrong
    assert found == {}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_advice_for_a_checkout_is_its_directory(extra: Extra) -> None:
    assert install_command(extra) == f"pip install -e '.[{extra}]'"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_advice_for_a_wheel_names_the_missing_packages_with_their_ranges(
    extra: Extra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "is_checkout", lambda _: False)
    start, *packages = shlex.split(install_command(extra))[1:]
    assert start == "install"
    assert [as_set(one) for one in packages] == [
        as_set(one) for one in PROJECT["optional-dependencies"][extra]
    ]


def as_set(requirement: str) -> tuple[str, frozenset[str]]:
    """The build sorts the bounds of a range."""
    name = re.match(r"[\w\[\]-]+", requirement)
    assert name is not None, requirement
    return name[0], frozenset(requirement[name.end() :].split(","))


def test_the_distribution_has_the_name_that_the_code_asks_for() -> None:
    assert PROJECT["name"] == distribution.NAME
    assert distribution.version() == metadata.version(distribution.NAME) == PROJECT["version"]


def test_every_extra_that_the_code_advises_is_one() -> None:
    assert set(EXTRAS) <= set(PROJECT["optional-dependencies"])
