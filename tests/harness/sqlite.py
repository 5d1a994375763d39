"""Databases for servers in this process. Migrating an empty one is half of what such a server costs, so it is done
once; a server that is started cold begins with nothing, as an operator's does."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from app.store.engine import Database
from app.store.migrate import migrate

NAME: Final = "baton.db"


@functools.cache
def migrated() -> Path:
    """A database as `migrate` leaves it, kept until this process ends."""
    directory = Path(tempfile.mkdtemp(prefix="baton-"))
    atexit.register(_remove, directory, os.getpid())
    database = Database(f"sqlite:///{directory / NAME}")
    migrate(database)
    database.close()
    return directory / NAME


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a child that was forked ends as well
        shutil.rmtree(directory, ignore_errors=True)


def sqlite_in(directory: Path) -> str:
    """The URL of the directory's database, which is made if there is none."""
    file = directory / NAME
    if not file.exists():
        shutil.copy(migrated(), file)  # with its mode
    return f"sqlite:///{file}"
