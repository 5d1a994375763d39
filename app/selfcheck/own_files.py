"""The files of the server itself: no session may read or write them, wherever they lie."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import app
from app.roots import OwnFiles, Roots, covers, holds_root
from app.settings import Settings
from app.telemetry import metrics_directory

SIDECARS: Final = ("", "-wal", "-shm", "-journal")
"""Endings of the files that SQLite makes beside a database, and of the database itself."""

SYSTEM: Final = (Path("/proc"), Path("/sys"), Path("/dev"), Path("/etc/baton"))
"""Not files of the server, but ways to its memory, its devices and its settings."""

_OTHER_PACKAGES: Final = ("anthropic_standin", "baton_client")
_BESIDE_THE_PROGRAM: Final = ("wsgi.py", "gunicorn.conf.py", "pyproject.toml", "setup.cfg", "Makefile")


def roots_of(settings: Settings) -> Roots:
    """Where sessions may work, with the server's own files taken out."""
    home = Path(settings.environment.get("HOME") or Path.home())
    is_writable = any(covers(root, home) for root in settings.all_roots)
    own = OwnFiles.of(own_files(settings))
    return Roots(settings.all_roots, own, None if settings.asks_for_tokens and is_writable else home)


def own_files(settings: Settings) -> list[Path]:
    """A directory that holds a root can't be the server's alone; its agent files still are."""
    found = []
    for path in _candidates(settings):
        if not any(holds_root(path, root) for root in settings.all_roots):
            found.append(path)
        elif path == settings.agents:
            found += [file for file in path.iterdir() if file.suffix.lower() in (".yaml", ".yml")]
    return found


def database_path(settings: Settings) -> Path | None:
    """Where SQLite's file is; None for PostgreSQL."""
    if not settings.database_url.startswith("sqlite:"):
        return None
    return Path(settings.database_url.removeprefix("sqlite:///").partition("?")[0]).absolute()


def _candidates(settings: Settings) -> Iterator[Path]:
    if (database := database_path(settings)) is not None:
        yield from (database.with_name(database.name + suffix) for suffix in SIDECARS)
    if settings.tokens_file is not None:
        yield settings.tokens_file
    yield settings.agents
    if settings.bind.startswith("unix:"):
        yield Path(settings.bind.removeprefix("unix:"))
    if metrics := settings.environment.get(metrics_directory.VARIABLE):
        yield Path(metrics)
    yield Path(settings.environment.get("HOME") or Path.home(), ".baton")
    yield from _program()
    yield from SYSTEM


def _program() -> Iterator[Path]:
    package = Path(app.__file__).resolve().parent
    yield package
    yield from (package.with_name(name) for name in _OTHER_PACKAGES)
    for place in dict.fromkeys((package.parent, Path.cwd())):
        if (place / "wsgi.py").exists():
            yield from (place / name for name in _BESIDE_THE_PROGRAM)
    if sys.prefix != sys.base_prefix:
        yield Path(sys.prefix)
