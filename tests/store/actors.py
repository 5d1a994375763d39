"""The actors of these tests on the store: sessions, owners, runs that began and calls that were made."""

from __future__ import annotations

import uuid
from typing import Any

from app.conversation.blocks import text_block, tool_result
from app.conversation.run import Liveness, Owner, Probe
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.store.run_request import RunRequest
from app.store.run_rows import BegunRun
from app.store.store import Store

HERE = Owner("a-host", "a-boot", 100, "5")
THERE = Owner("another-host", "another-boot", 200, "7")


def nobody_is_gone(_: Owner) -> Liveness:
    return "unknown"


def everybody_is_gone(_: Owner) -> Liveness:
    return "gone"


def seeing(store: Store, probe: Probe | None) -> Store:
    """The same database, as a process sees it that finds the others so."""
    if probe is None:
        return store
    return Store(store.database, lease_seconds=store.lease_seconds, probe=probe)


def new_session(store: Store, **more: Any) -> Session:
    session = Session(id=str(uuid.uuid4()), created_at=1000.0, **more)
    store.sessions.create(session)
    return session


def user(text: str) -> Message:
    return Message("user", (text_block(text),), created_at=1.0)


def request(session_id: str, **more: Any) -> RunRequest:
    return RunRequest(session_id=session_id, key="plain", **more)


def begin(
    store: Store,
    session_id: str,
    *texts: str,
    owner: Owner = HERE,
    probe: Probe | None = None,
    visible_to: str | None = None,
) -> BegunRun:
    return seeing(store, probe).claims.begin(
        uuid.uuid4().hex,
        request(session_id, messages=[user(text) for text in texts], visible_to=visible_to),
        agent="plain/root",
        owner=owner,
    )


def calling(*ids: str, name: str = "shell") -> Message:
    """An assistant's message that calls a tool under each of these ids."""
    blocks = tuple({"type": "tool_use", "id": one, "name": name, "input": {"cmd": one}} for one in ids)
    return Message("assistant", blocks, stop_reason="tool_use", created_at=2.0)


def result(call_id: str, text: str = "done") -> Message:
    return Message("tool", (tool_result(call_id, text),), created_at=3.0)


def result_words(store: Store, session_id: str) -> dict[str, str]:
    """The text of each tool call's result, by the call's id."""
    rows = [row for row in store.sessions.messages(session_id) if row.role == "tool"]
    return {row.content[0]["tool_use_id"]: row.content[0]["content"] for row in rows}


def states(store: Store, session_id: str) -> dict[str, str]:
    return {call.id: call.state for call in store.journal.ledger(session_id).values()}
