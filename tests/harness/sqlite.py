"""Databases for servers in this process. Migrating an empty one is half of what such a server costs, so it is done
once; a server that is started cold begins with nothing, as an operator's does."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from app.store.engine import Database
from app.store.migrate import migrate

NAME: Final = "baton.db"


@functools.cache
def migrated() -> tuple[TemporaryDirectory[str], Path]:
    """A database as `migrate` leaves it, and what holds its directory until this process ends."""
    directory = TemporaryDirectory(prefix="baton-")
    file = Path(directory.name, NAME)
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    return directory, file


def sqlite_in(directory: Path) -> str:
    """The URL of the directory's database, which is made if there is none."""
    file = directory / NAME
    if not file.exists():
        shutil.copy(migrated()[1], file)  # with its mode
    return f"sqlite:///{file}"
