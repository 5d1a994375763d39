"""`baton db`: the database itself, with no server in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from app.commands.asking import Asking, json_option, pass_asking
from app.commands.output import print_json
from app.errors import StoreUnavailable
from app.settings import InvalidSettings, Settings
from app.store.engine import Database
from app.store.migrate import migrate, revision
from app.store.store import Store

DAY = 86_400.0


@click.group("db")
def command() -> None:
    """The database at BATON_DATABASE_URL. A server may be running on it."""


@command.command("upgrade")
@json_option
@pass_asking
def upgrade(asking: Asking) -> None:
    """Bring it to the newest schema, as every start of a server does."""
    with _database() as database:
        before = revision(database)
        migrate(database)
        after = revision(database)
    _say(
        asking,
        {"before": before, "after": after},
        f"schema {after}" + (" already" if before == after else ""),
    )


@command.command("vacuum")
@json_option
@pass_asking
def vacuum(asking: Asking) -> None:
    """Give the space of what was deleted back. SQLite: needs as much free space as the file is large, and writers
    wait meanwhile."""
    with _database() as database:
        before = database.size()
        database.vacuum()
        after = database.size()
    _say(asking, {"before": before, "after": after}, f"{before:,} bytes before, {after:,} after")


@command.command("prune")
@click.option("--events-older-than", type=float, default=1.0, show_default=True, help="Days.")
@click.option(
    "--events-per-session", type=click.IntRange(1), default=10_000, show_default=True, help="The newest."
)
@json_option
@pass_asking
def prune(asking: Asking, events_older_than: float, events_per_session: int) -> None:
    """Delete old events and idempotency keys, as servers do each minute. Messages and runs are kept."""
    with _database() as database:
        store = Store(database, lease_seconds=Settings().lease_seconds)
        deleted = store.events.prune(
            older_than_seconds=events_older_than * DAY, keep_events=events_per_session
        )
        keys = store.idempotency.prune()
    _say(
        asking,
        {"event_segments": deleted, "idempotency_keys": keys},
        f"deleted {deleted} pieces of event logs and {keys} keys",
    )


def _say(asking: Asking, value: object, words: str) -> None:
    if asking.as_json:
        print_json(value)
    else:
        click.echo(words)


@contextmanager
def _database() -> Iterator[Database]:
    """In words, if the settings make no sense or the database can't be used."""
    try:
        database = Database(Settings.from_environment(os.environ).database_url)
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    try:
        yield database
    except StoreUnavailable as error:
        raise click.ClickException(f"the database can't be used: {error.__cause__ or error}") from None
    finally:
        database.close()
