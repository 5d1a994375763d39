"""Vaults that clients have defined. Their credentials are in `credential_store`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from app.errors import NotFound
from app.store.clock import now
from app.store.definitions import Change, Defined, Json, add, archive, defined, lock, usable
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import vault_credentials, vaults
from app.store.outbox import announce
from app.store.quotas import NO_LIMITS, Limits
from app.store.row_mapping import dump


class VaultStore:
    """`owner` narrows a call to the vaults of one token's holder; None: everybody's. No vault is shared."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._most = limits.objects_per_owner

    def add(self, vault_id: str, definition: Json, *, owner: str) -> Defined:
        with self._database.writing() as connection:
            values = {"definition_json": dump(definition)}
            add(connection, vaults, vault_id, owner, shared=False, most=self._most, **values)
            return vault(connection, vault_id, None)

    def get(self, vault_id: str, *, owner: str | None) -> Defined:
        with self._database.reading() as connection:
            return vault(connection, vault_id, owner)

    def page(self, window: Window, *, owner: str | None) -> Sequence[Defined]:
        query = within(select(vaults).where(usable(vaults, owner)), vaults, window)
        with self._database.reading() as connection:
            return [defined(row) for row in connection.execute(query)]

    def change(self, vault_id: str, change: Change, *, owner: str | None) -> Defined:
        with self._database.writing() as connection:
            lock(connection, vaults, vault_id)
            before = vault(connection, vault_id, owner)
            values = {"definition_json": dump(change(before)), "updated_at": now()}
            connection.execute(update(vaults).where(vaults.c.id == vault_id).values(values))
            return vault(connection, vault_id, owner)

    def archive(self, vault_id: str, *, owner: str | None) -> Defined:
        """With its credentials, whose secrets are gone then."""
        with self._database.writing() as connection:
            lock(connection, vaults, vault_id)
            vault(connection, vault_id, owner)
            archive(connection, vaults, vault_id)
            active = (vault_credentials.c.vault_id == vault_id) & vault_credentials.c.archived_at.is_(None)
            purged = {"archived_at": now(), "sealed": None, "refreshing_until": None}
            connection.execute(update(vault_credentials).where(active).values(purged))
            return vault(connection, vault_id, owner)

    def delete(self, vault_id: str, *, owner: str | None) -> None:
        with self._database.writing() as connection:
            vault(connection, vault_id, owner)
            connection.execute(delete(vaults).where(vaults.c.id == vault_id))
            announce(connection, "vault.deleted", vault_id)


def vault(connection: Connection, vault_id: str, owner: str | None) -> Defined:
    """NotFound."""
    query = select(vaults).where(vaults.c.id == vault_id, usable(vaults, owner))
    if (row := connection.execute(query).first()) is None:
        raise NotFound("Vault not found.")
    return defined(row)
