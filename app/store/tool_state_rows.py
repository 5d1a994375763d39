"""What toolsets have left for a session's next run, as rows."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text

from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.row_mapping import load_optional
from app.store.tables import tool_states

_KEEP: Final = Prepared(
    text("""
        INSERT INTO tool_states (session_id, "key", state_json) VALUES (:here, :name, :state_json)
        ON CONFLICT (session_id, "key") DO UPDATE SET state_json = excluded.state_json
    """)
)
_READ: Final = Prepared(
    select(tool_states.c.state_json).where(
        tool_states.c.session_id == bindparam("of_session"), tool_states.c.key == bindparam("name")
    )
)


def keeping(session_id: str, key: str, state: str) -> Write:
    """`state` is JSON."""
    return Write(_KEEP, [{"here": session_id, "name": key, "state_json": state}])


def replace_tool_state(connection: Connection, session_id: str, key: str, state: str) -> None:
    keeping(session_id, key, state).do(connection)


def read_tool_state(connection: Connection, session_id: str, key: str) -> Any:
    """None if there is none."""
    row = _READ.first(connection, {"of_session": session_id, "name": key})
    return load_optional(row.state_json) if row is not None else None
