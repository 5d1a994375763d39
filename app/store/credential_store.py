"""Credentials in vaults. Their secrets come here sealed, and leave it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, delete, insert, or_, select, update

from app.errors import Conflict, InvalidRequest, NotFound
from app.store.clock import now
from app.store.definitions import Json, lock
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import vault_credentials, vaults
from app.store.outbox import announce
from app.store.row_mapping import dump
from app.store.sealed_store import SealedStore
from app.store.vault_store import vault

MAX_CREDENTIALS: Final = 20
"""Active ones in one vault."""


@dataclass(frozen=True, slots=True)
class Credential:
    """`definition` is JSON in the form in which the API answers. `sealed` are the encrypted secrets, None once it is
    archived; `revision` rises whenever they change. `is_refreshing`: a process gets another token. Times are seconds
    since the epoch, by the database's clock."""

    id: str
    vault_id: str
    definition: Json
    sealed: str | None
    revision: int
    created_at: float
    updated_at: float
    archived_at: float | None
    read_at: float
    is_refreshing: bool = False


Changed = tuple[Json, str | None]
"""The definition and the sealed secrets after a change."""


class CredentialStore(SealedStore):
    """`owner` narrows a call to the vaults of one token's holder; None: everybody's."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, key=vault_credentials.c.id, sealed=vault_credentials.c.sealed)

    def now(self) -> float:
        """By the database's clock."""
        return self._database.now()

    def add(
        self,
        vault_id: str,
        credential_id: str,
        definition: Json,
        *,
        server_key: str,
        sealed: str,
        owner: str | None,
    ) -> Credential:
        """Conflict for a server that the vault has an active credential for; InvalidRequest for an archived vault, or
        a full one."""
        with self._database.writing() as connection:
            lock(connection, vaults, vault_id)
            if vault(connection, vault_id, owner).archived_at is not None:
                raise InvalidRequest("Vault is archived.")
            active = (vault_credentials.c.vault_id == vault_id) & vault_credentials.c.archived_at.is_(None)
            keys = list(connection.scalars(select(vault_credentials.c.server_key).where(active)))
            if server_key in keys:
                raise Conflict("The vault has an active credential for this mcp_server_url already.")
            if len(keys) >= MAX_CREDENTIALS:
                raise InvalidRequest(f"A vault can hold at most {MAX_CREDENTIALS} credentials.")
            connection.execute(
                insert(vault_credentials).values(
                    id=credential_id,
                    vault_id=vault_id,
                    created_at=now(),
                    updated_at=now(),
                    definition_json=dump(definition),
                    server_key=server_key,
                    sealed=sealed,
                    revision=1,
                )
            )
            _announce(connection, "created", vault_id, credential_id)
            return _credential(connection, vault_id, credential_id)

    def get(self, vault_id: str, credential_id: str, *, owner: str | None) -> Credential:
        with self._database.reading() as connection:
            vault(connection, vault_id, owner)
            return _credential(connection, vault_id, credential_id)

    def page(self, vault_id: str, window: Window, *, owner: str | None) -> Sequence[Credential]:
        query = select(vault_credentials, now().label("read_at")).where(
            vault_credentials.c.vault_id == vault_id
        )
        with self._database.reading() as connection:
            vault(connection, vault_id, owner)
            return [_made(row) for row in connection.execute(within(query, vault_credentials, window))]

    def change(
        self,
        vault_id: str,
        credential_id: str,
        change: Callable[[Credential], Changed],
        *,
        owner: str | None,
    ) -> Credential:
        """Two changes at once come one after the other, and so does a token that is stored after a refresh."""
        with self._database.writing() as connection:
            vault(connection, vault_id, owner)
            lock(connection, vault_credentials, credential_id)
            before = _credential(connection, vault_id, credential_id)
            definition, sealed = change(before)
            values: dict[str, Any] = {"definition_json": dump(definition), "updated_at": now()}
            if sealed != before.sealed:
                values |= {"sealed": sealed, "revision": before.revision + 1, "refreshing_until": None}
            connection.execute(
                update(vault_credentials).where(vault_credentials.c.id == credential_id).values(values)
            )
            return _credential(connection, vault_id, credential_id)

    def archive(self, vault_id: str, credential_id: str, *, owner: str | None) -> Credential:
        """Its secrets are gone then. One that is archived already stays as it is."""
        with self._database.writing() as connection:
            vault(connection, vault_id, owner)
            _credential(connection, vault_id, credential_id)
            archived = connection.execute(
                update(vault_credentials)
                .where(vault_credentials.c.id == credential_id, vault_credentials.c.archived_at.is_(None))
                .values(archived_at=now(), sealed=None, refreshing_until=None)
            )
            if archived.rowcount:
                _announce(connection, "archived", vault_id, credential_id)
            return _credential(connection, vault_id, credential_id)

    def delete(self, vault_id: str, credential_id: str, *, owner: str | None) -> None:
        with self._database.writing() as connection:
            vault(connection, vault_id, owner)
            _credential(connection, vault_id, credential_id)
            connection.execute(delete(vault_credentials).where(vault_credentials.c.id == credential_id))
            _announce(connection, "deleted", vault_id, credential_id)

    # ---- for runs, whose session's vaults were looked at when it was made

    def find(self, vault_ids: Sequence[str], server_key: str) -> Credential | None:
        """The active credential for a server, of the first of the vaults that has one."""
        query = select(vault_credentials, now().label("read_at")).where(
            vault_credentials.c.vault_id.in_(vault_ids),
            vault_credentials.c.server_key == server_key,
            vault_credentials.c.archived_at.is_(None),
        )
        if not vault_ids:
            return None
        with self._database.reading() as connection:
            found = {row.vault_id: _made(row) for row in connection.execute(query)}
        return next((found[one] for one in vault_ids if one in found), None)

    def current(self, credential: Credential) -> Credential | None:
        """As it is now; None if it was deleted."""
        with self._database.reading() as connection:
            return _found(connection, credential.vault_id, credential.id)

    def begin_refresh(self, credential: Credential, seconds: float) -> bool:
        """The right to use the refresh token of this revision, for so many seconds. Only one process has it; False for
        all others, and if the secrets have changed since."""
        row = vault_credentials.c
        free = or_(row.refreshing_until.is_(None), row.refreshing_until < now())
        with self._database.writing() as connection:
            taken = connection.execute(
                update(vault_credentials)
                .where(row.id == credential.id, row.revision == credential.revision)
                .where(row.archived_at.is_(None), free)
                .values(refreshing_until=now() + seconds)
            )
            return taken.rowcount == 1

    def end_refresh(
        self, credential: Credential, change: Callable[[Credential], Changed] | None
    ) -> Credential | None:
        """Stores what came of it, nothing if None, and gives the right back; None if somebody has changed, archived or
        deleted the credential meanwhile."""
        with self._database.writing() as connection:
            lock(connection, vault_credentials, credential.id)
            current = _found(connection, credential.vault_id, credential.id)
            if current is None or current.revision != credential.revision or current.sealed is None:
                return None
            values: dict[str, Any] = {"refreshing_until": None}
            if change is not None:
                definition, sealed = change(current)
                values |= {"definition_json": dump(definition), "sealed": sealed}
                values |= {"revision": current.revision + 1, "updated_at": now()}
            else:
                _announce(connection, "refresh_failed", credential.vault_id, credential.id)
            connection.execute(
                update(vault_credentials).where(vault_credentials.c.id == credential.id).values(values)
            )
            return _found(connection, credential.vault_id, credential.id)


def _announce(connection: Connection, done: str, vault_id: str, credential_id: str) -> None:
    announce(connection, f"vault_credential.{done}", credential_id, vault_id=vault_id)


def _credential(connection: Connection, vault_id: str, credential_id: str) -> Credential:
    if (found := _found(connection, vault_id, credential_id)) is None:
        raise NotFound("Credential not found.")
    return found


def _found(connection: Connection, vault_id: str, credential_id: str) -> Credential | None:
    query = select(vault_credentials, now().label("read_at")).where(
        vault_credentials.c.id == credential_id, vault_credentials.c.vault_id == vault_id
    )
    row = connection.execute(query).first()
    return None if row is None else _made(row)


def _made(row: Any) -> Credential:
    return Credential(
        id=row.id,
        vault_id=row.vault_id,
        definition=orjson.loads(row.definition_json),
        sealed=row.sealed,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        read_at=row.read_at,
        is_refreshing=row.refreshing_until is not None and row.refreshing_until >= row.read_at,
    )
