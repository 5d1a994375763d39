"""Entries of the audit trail, each in the transaction of what was done, so that neither is there without the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert

from app.conversation.audit_entry import Action, Requester
from app.store.clock import now
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.tables import audit

MAX_DETAIL: Final = 2_000  # characters

_REQUESTER: ContextVar[Requester | None] = ContextVar("requester", default=None)
_ADD: Final = Prepared(
    insert(audit).inline().values(at=now()),  # its number is not wanted
    columns=[column.key for column in audit.c if column.key not in ("id", "at")],
)
_UNSAY: Final = Prepared(
    delete(audit).where(
        audit.c.session_id == bindparam("of_session"),
        audit.c.run_id == bindparam("of_run"),
    )
)


def enter_request(requester: Requester | None) -> Token[Requester | None]:
    """From now on what this thread does is noted as asked for by them, until `leave_request`. None: the server does
    it by itself, which is not noted."""
    return _REQUESTER.set(requester)


def leave_request(token: Token[Requester | None]) -> None:
    _REQUESTER.reset(token)


@contextmanager
def requested_by(requester: Requester | None) -> Iterator[None]:
    """The same for what is done inside."""
    token = enter_request(requester)
    try:
        yield
    finally:
        leave_request(token)


def is_asked() -> bool:
    """Does this thread work for a request that is to be noted?"""
    return _REQUESTER.get() is not None


def note(
    connection: Connection, action: Action, session_id: str, *, run_id: str = "", detail: str = ""
) -> None:
    """Writes nothing for work of the server itself. A long detail is cut."""
    for write in noting(action, session_id, run_id=run_id, detail=detail):
        write.do(connection)


def noting(action: Action, session_id: str, *, run_id: str = "", detail: str = "") -> list[Write]:
    """The write of the same, if there is one."""
    requester = _REQUESTER.get()
    if requester is None:
        return []
    if len(detail) > MAX_DETAIL:
        detail = f"{detail[:MAX_DETAIL]}…"
    said = {"action": action, "session_id": session_id, "run_id": run_id, "detail": detail}
    return [Write(_ADD, [said | asdict(requester)])]


def unsay(connection: Connection, session_id: str, run_id: str) -> None:
    """Takes back the entries about a run that was undone before anything came of it."""
    _UNSAY.run(connection, {"of_session": session_id, "of_run": run_id})
