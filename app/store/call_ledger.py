"""A tool call's place in the ledger, for the transactions of all stores."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, bindparam, update

from app.store.clock import now
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.tables import tool_calls


def set_call(
    connection: Connection, session_id: str, call_id: str, *, now_is: str = "", **values: str | None
) -> None:
    """Changes a call's place in the ledger; `now_is` is the column that gets the present time, if any."""
    changing_call(session_id, call_id, now_is=now_is, **values).do(connection)


def changing_call(session_id: str, call_id: str, *, now_is: str = "", **values: str | None) -> Write:
    """The write of the same."""
    keys = {"of_session": session_id, "of_call": call_id}
    return Write(_change_of_call(now_is, tuple(values)), [keys | values])


@cache
def _change_of_call(now_is: str, columns: tuple[str, ...]) -> Prepared:
    here = tool_calls.c.session_id == bindparam("of_session"), tool_calls.c.id == bindparam("of_call")
    stamp = {now_is: now()} if now_is else {}
    return Prepared(update(tool_calls).where(*here).values(stamp), columns=columns)
