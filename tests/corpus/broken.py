"""Reads the corpus, and puts a broken transcript into a session behind everybody's back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from app.conversation.transcript import Message
from app.store.session_rows import append_messages
from app.store.store import Store


@dataclass(frozen=True, slots=True)
class Broken:
    """`issue` is the public one that reported a transcript of this shape."""

    name: str
    issue: str
    what: str
    rows: tuple[Message, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        body = orjson.loads(path.read_bytes())
        return cls(path.stem, body["issue"], body["what"], tuple(_row(row) for row in body["rows"]))


def _row(body: dict[str, Any]) -> Message:
    return Message(role=body["role"], content=tuple(body["content"]))


def all_broken() -> list[Broken]:
    return [Broken.read(path) for path in sorted(Path(__file__).parent.glob("*.json"))]


def insert_rows(store: Store, session_id: str, rows: tuple[Message, ...]) -> None:
    """As another program would have: straight into the table, past every check."""
    with store.database.writing() as connection:
        append_messages(connection, session_id, rows, None)
