"""`baton db`: the database itself, with no server in between."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.commands.terminal_output import confirm_loss, print_json, yes_option
from app.errors import StoreUnavailable
from app.managed.vaults.resealing import reseal_all
from app.managed.vaults.secret_box import SecretBox
from app.setting_fields import InvalidSettings
from app.settings import Settings
from app.store.credential_store import CredentialStore
from app.store.engine import Database
from app.store.migrate import NEWEST, is_newer, migrate, revision
from app.store.pruning import MOST
from app.store.resource_store import ResourceStore
from app.store.store import KEEP_EVENTS, KEEP_EVENTS_SECONDS, Store

DAY = 86_400.0


@click.group("db")
def command() -> None:
    """Upgrade, prune, vacuum or reseal the database at BATON_DATABASE_URL.

    A server may be running on it.
    """


@command.command("upgrade")
@json_option
@pass_asking
def upgrade(asking: ServerOptions) -> None:
    """Bring the database to the newest schema.

    Every start of a server does that, too.
    """
    with _database() as (database, _):
        before = revision(database)
        if is_newer(before):
            raise click.ClickException(
                f"the schema is {before}, made by a newer version; this one knows {NEWEST}, and a schema is never "
                "taken back: bring back the backup from before the upgrade"
            )
        migrate(database)
        after = revision(database)
    _say(
        asking,
        {"before": before, "after": after},
        f"the schema is {after}" + (" already" if before == after else ""),
    )


@command.command("vacuum")
@json_option
@pass_asking
def vacuum(asking: ServerOptions) -> None:
    """Give back the space of what was deleted.

    With SQLite it needs as much free space as the file is large, and writers wait meanwhile.
    """
    with _database() as (database, _):
        before = database.size()
        database.vacuum()
        after = database.size()
    _say(asking, {"before": before, "after": after}, f"{before:,} bytes before, {after:,} after")


@command.command("prune")
@click.option(
    "--events-older-than",
    type=float,
    default=KEEP_EVENTS_SECONDS / DAY,
    show_default=True,
    help="Age in days.",
)
@click.option(
    "--events-per-session",
    type=click.IntRange(1),
    default=KEEP_EVENTS,
    show_default=True,
    help="Keep this many.",
)
@yes_option
@json_option
@pass_asking
def prune(asking: ServerOptions, events_older_than: float, events_per_session: int, yes: bool) -> None:
    """Delete old events and records; sessions are kept.

    Deletes events, idempotency keys, audit entries beyond BATON_AUDIT_DAYS, accounts of what was spent or asked for
    long ago, places in line of processes that died, webhooks that nobody has delivered, and queued messages that are in
    their transcripts. Servers do that each minute. If the options ask for more than that, the command asks first; where
    there is no terminal to ask on, it needs --yes.
    """
    if events_older_than * DAY < KEEP_EVENTS_SECONDS or events_per_session < KEEP_EVENTS:
        confirm_loss("Delete events that servers would keep?", yes=yes)
    with _database() as (database, settings):
        store = Store(database, lease_seconds=settings.lease_seconds, audit_days=settings.audit_days)
        pruned: Counter[str] = Counter()
        more = True
        while more:
            some = asdict(
                store.prune(
                    keep_events_seconds=events_older_than * DAY,
                    keep_events=events_per_session,
                    at_work_within=None,
                )
            )
            pruned.update(some)
            more = max(some.values()) >= MOST
    words = ", ".join(f"{count} of {table}" for table, count in pruned.items())
    _say(asking, pruned, f"deleted {words}")


@command.command("reseal")
@json_option
@pass_asking
def reseal(asking: ServerOptions) -> None:
    """Encrypt the stored secrets with the new key.

    They are those in vaults, and tokens of repositories. The key is the first one of BATON_VAULT_KEY; the second is not
    needed afterwards.
    """
    with _database() as (database, settings):
        if not settings.vault_keys:
            raise click.ClickException("BATON_VAULT_KEY is not set")
        box = SecretBox(settings.vault_keys)
        credentials, unreadable = reseal_all(CredentialStore(database), box)
        repositories, more = reseal_all(ResourceStore(database), box)
        unreadable += more
    words = f"encrypted the secrets of {credentials} credentials and {repositories} repositories anew"
    if unreadable:
        words += f"; no key opens those of {len(unreadable)}: {', '.join(unreadable)}"
    _say(asking, {"resealed": credentials + repositories, "unreadable": unreadable}, words)


def _say(asking: ServerOptions, value: object, words: str) -> None:
    if asking.as_json:
        print_json(value)
    else:
        click.echo(words)


@contextmanager
def _database() -> Iterator[tuple[Database, Settings]]:
    """In words, if the settings make no sense or the database can't be used."""
    try:
        settings = Settings.from_environment(os.environ)
        database = Database(settings.database_url)
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    try:
        yield database, settings
    except StoreUnavailable as error:
        raise click.ClickException(f"the database can't be used: {error.__cause__ or error}") from None
    finally:
        database.close()
