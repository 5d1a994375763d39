"""The name of this installation, and the command that adds to it."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

NAME: Final = "baton-server"
"""The distribution's name. No text may tell a reader to install it by this name: the index doesn't know it, so the
next person to register it there would be installed instead. `install_command` is the advice."""

Extra = Literal["mcp", "otel", "postgres"]


@cache
def version() -> str:
    return metadata.version(NAME)


def install_command(extra: Extra) -> str:
    """The shell command that adds an extra to this installation, whichever way it was installed.

    It names no path of this machine, so it may be shown to every user."""
    if is_checkout(Path(__file__).parents[1]):
        return f"pip install -e '.[{extra}]'"
    return " ".join(["pip install", *(f"'{requirement}'" for requirement in _requirements(extra))])


def is_checkout(directory: Path) -> bool:
    """Does the package lie beside the files that a clone has and `site-packages` has not?"""
    return all((directory / name).is_file() for name in ("pyproject.toml", "gunicorn.conf.py"))


def _requirements(extra: Extra) -> list[str]:
    split = [line.partition(";") for line in metadata.requires(NAME) or ()]
    return [wanted.strip() for wanted, _, marker in split if marker.strip() == f'extra == "{extra}"']
