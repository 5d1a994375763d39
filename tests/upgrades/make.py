"""Makes the dumps: `python -m tests.upgrades.make`. The code of the old version fills a database of each kind."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg

from anthropic_standin.standin_server import OfflineServer
from tests.harness.postgres import PostgresServer
from tests.harness.process import BatonProcess
from tests.upgrades import dumps
from tests.upgrades.filling import AGENTS, SETTINGS, fill
from tests.upgrades.old_code import SCHEMA_0001, unpack

Fill = Callable[[str, Path], None]
"""Fills the database at a URL; its sessions work in a directory."""


def main() -> None:
    with ExitStack() as stack:
        tree = unpack(SCHEMA_0001, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        model = stack.enter_context(OfflineServer())
        postgres = stack.enter_context(PostgresServer())

        def fill_database(url: str, directory: Path) -> None:
            def start() -> BatonProcess:
                server = BatonProcess(
                    directory,
                    model_url=model.url,
                    agents=AGENTS,
                    database_url=url,
                    settings=SETTINGS,
                    root=tree,
                )
                return stack.enter_context(server)

            fill(start, directory)

        for make in (_sqlite, partial(_postgresql, postgres)):
            make(fill_database, Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _sqlite(fill_database: Fill, directory: Path) -> None:
    path = directory / "baton.db"
    fill_database(f"sqlite:///{path}", directory)
    with sqlite3.connect(path) as database:
        for statement in _anonymous():
            database.execute(statement)
        newest = f"-- newest: {time.time():.3f}"
        dumps.SQLITE.write_text("\n".join([_head(), newest, *database.iterdump()]) + "\n")
    database.close()


def _postgresql(server: PostgresServer, fill_database: Fill, directory: Path) -> None:
    url = server.new_database()
    fill_database(url, directory)
    with psycopg.connect(url) as connection:
        for statement in _anonymous():
            connection.execute(statement)
    lines = [line for line in server.dump(url).splitlines() if line and not line.startswith(("--", "\\"))]
    dumps.POSTGRESQL.write_text("\n".join([_head(), *lines]) + "\n")


def _anonymous() -> list[str]:
    """Takes away what names the machine on which the dump is made."""
    return [
        "UPDATE runs SET owner_host = 'a-host', owner_boot = 'a-boot'",
        f"UPDATE sessions SET working_dir = '{dumps.DIRECTORY}'",
    ]


def _head() -> str:
    return f"-- Filled by the code of {SCHEMA_0001}: python -m tests.upgrades.make"


if __name__ == "__main__":
    main()
