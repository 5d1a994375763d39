"""A tool call's place in the ledger, for the transactions of all stores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, update

from app.conversation.run import Baton
from app.store.clock import now
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.row_mapping import dump
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


def ledger_row(
    baton: Baton, session_id: str, call: Mapping[str, Any], broken: Collection[str]
) -> dict[str, Any]:
    """A call of a turn that is about to be stored; `in_session` is for its position."""
    return {
        "session_id": session_id,
        "id": call["id"],
        "run_id": baton.run_id,
        "in_session": session_id,
        "name": call["name"],
        "arguments_json": dump(call["input"]),
        "state": "pending",
        "decision": "",
        "decided_by": "",
        "reason": "",
        "broken": call["id"] in broken,
    }


@cache
def _change_of_call(now_is: str, columns: tuple[str, ...]) -> Prepared:
    here = tool_calls.c.session_id == bindparam("of_session"), tool_calls.c.id == bindparam("of_call")
    stamp = {now_is: now()} if now_is else {}
    return Prepared(update(tool_calls).where(*here).values(stamp), columns=columns)
