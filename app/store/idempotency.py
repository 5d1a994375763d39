"""Idempotency keys: which request a key stood for, and what became of it. Kept for a day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, delete, insert
from sqlalchemy.exc import IntegrityError

from app.store.clock import now
from app.store.prepared_statements import Prepared
from app.store.tables import idempotency_keys

KEEP_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key as one request uses it. `request` is a digest of route and body; `response` what it is answered,
    for requests that start no run."""

    owner: str
    key: str
    request: str
    response: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the request that used the key first."""

    session_id: str | None
    run_id: str | None
    response: Any


class KeyUsed(Exception):
    """Another request used this key a moment before; ask for its outcome."""


_same: Final = (idempotency_keys.c.owner == bindparam("of_owner")) & (
    idempotency_keys.c.key == bindparam("of_key")
)
_FREE: Final = Prepared(delete(idempotency_keys).where(_same))
_FREE_OLD: Final = Prepared(
    delete(idempotency_keys).where(_same, idempotency_keys.c.created_at <= now() - KEEP_SECONDS)
)
_USE: Final = Prepared(
    insert(idempotency_keys).values(created_at=now()),
    columns=[column.key for column in idempotency_keys.c if column.key != "created_at"],
)


def answered(use: KeyUse | None, response: Any) -> KeyUse | None:
    return replace(use, response=response) if use is not None else None


def use_key(
    connection: Connection, use: KeyUse, *, session_id: str | None = None, run_id: str | None = None
) -> None:
    """In the transaction of what the key stands for, so that a refusal does not use it up. KeyUsed."""
    _FREE_OLD.run(connection, {"of_owner": use.owner, "of_key": use.key})
    row = {
        "owner": use.owner,
        "key": use.key,
        "request": use.request,
        "session_id": session_id,
        "run_id": run_id,
        "response_json": None if use.response is None else orjson.dumps(use.response).decode(),
    }
    try:
        _USE.run(connection, row)
    except IntegrityError as error:
        raise KeyUsed() from error


def free_key(connection: Connection, use: KeyUse | None) -> None:
    """In the transaction that undoes what the key stood for. The next request with the key is its first."""
    if use is not None:
        _FREE.run(connection, {"of_owner": use.owner, "of_key": use.key})
