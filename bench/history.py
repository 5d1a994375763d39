"""Sessions that have talked before: seeded where each contestant keeps them."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import closing
from pathlib import Path

from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message, Role
from app.store.engine import Database
from app.store.session_rows import append_messages
from app.store.store import Store
from bench.contestants import OURS
from bench.processes import Server

WORDS = "The river keeps moving while the stones stay where they are, and every small step counts."


def texts(length: int) -> list[tuple[Role, str]]:
    """That many messages, the user's and the assistant's in turn; the last is the assistant's."""
    return [("user" if index % 2 == 0 else "assistant", f"{WORDS} ({index})") for index in range(length)]


def seed(server: Server, length: int, sessions: int) -> list[str]:
    """Ids of new sessions with a history of that many messages, an even number."""
    if server.contestant == OURS:
        return seed_database(server.directory / "baton.db", length, sessions)
    body = json.dumps({"messages": [{"role": role, "content": text} for role, text in texts(length)]})
    with closing(server.connect()) as connection:
        ids = []
        for _ in range(sessions):
            connection.request("POST", "/api/sessions", body, {"Content-Type": "application/json"})
            ids.append(str(json.loads(connection.getresponse().read())["id"]))
        return ids


def seed_database(path: Path, length: int, sessions: int) -> list[str]:
    """The rows that runs would have left; beside a server that runs, if there is one."""
    database = Database(f"sqlite:///{path}")
    try:
        store = Store(database, lease_seconds=30)
        return [seed_session(store, length) for _ in range(sessions)]
    finally:
        database.close()


def seed_session(store: Store, length: int) -> str:
    session_id, now = str(uuid.uuid4()), time.time()
    store.sessions.create(Session(id=session_id, created_at=now, title="a long talk"))
    rows = [
        Message(role, (text_block(text),), agent="" if role == "user" else "root", created_at=now)
        for role, text in texts(length)
    ]
    if rows:
        with store.database.writing() as connection:
            append_messages(connection, session_id, rows, None)
    return session_id
