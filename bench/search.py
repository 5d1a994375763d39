"""What the index of words costs: `python -m bench.search [DATABASE_URL]`, which has to be an empty database.

Stores messages of a run's shape with the triggers and without them, indexes them, and searches. One thread, nothing
else at work.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from app.conversation.blocks import text_block, tool_result
from app.conversation.search_words import SearchQuery
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.session_rows import append_messages
from app.store.store import Store
from bench.history import WORDS

SESSIONS: Final = 200
MESSAGES: Final = 50  # of a session; every fourth is a tool's result


def message(number: int) -> Message:
    """About what people, models and tools say: 300 characters, and 2,700 for a result."""
    said = f"{WORDS} Number {number} of many, in file_{number % 977}.py. " * 2
    if number % 4 == 3:
        return Message("tool", (tool_result(f"toolu_{number}", said * 9),))
    return Message("user" if number % 4 == 0 else "assistant", (text_block(said),))


def timed(act: Callable[[], object], per: int) -> str:
    began, used = time.perf_counter(), time.process_time()
    act()
    took, own = time.perf_counter() - began, time.process_time() - used
    return f"{took / per * 1e6:,.0f} µs, {own / per * 1e6:,.0f} of them ours"


def store_messages(store: Store, name: str) -> None:
    for number in range(SESSIONS):
        store.sessions.create(Session(f"{name}-{number}", owner=f"owner-{number % 7}"))
        for position in range(MESSAGES):
            with store.database.writing_undurably() as connection:
                append_messages(connection, f"{name}-{number}", [message(position)], None)


def index(store: Store) -> None:
    while store.search_index.step():
        pass


def without_triggers(store: Store) -> None:
    with store.database.writing() as connection:
        if store.database.kind == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER search_message_added")
        else:
            connection.exec_driver_sql("ALTER TABLE messages DISABLE TRIGGER search_message_added")


def search(store: Store, words: str, owner: str | None) -> None:
    for _ in range(20):
        store.search.find(SearchQuery.parse(words), owner=owner, limit=21)


def measure(url: str) -> None:
    with closing(Database(url)) as database:
        migrate(database)
        store = Store(database, lease_seconds=30.0)
        count = SESSIONS * MESSAGES
        store_messages(store, "warm")
        index(store)
        before = database.size()
        print("store a message, noted for the index:", timed(lambda: store_messages(store, "noted"), count))
        stored = database.size()
        print("index it:", timed(lambda: index(store), count))
        indexed = database.size()
        print(
            f"bytes of a message: {(stored - before) / count:,.0f}, and {(indexed - stored) / count:,.0f} for its words"
        )
        for words in ("river stones", '"every small step" file_76', "file_931"):
            for owner in (None, "owner-3"):
                took = timed(lambda words=words, owner=owner: search(store, words, owner), 20)  # type: ignore[misc]
                print(f"search for {words}, by {owner or 'an operator'}: {took}")
        without_triggers(store)
        print("store a message, not noted:", timed(lambda: store_messages(store, "unnoted"), count))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        measure(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(directory) / 'search.db'}")
