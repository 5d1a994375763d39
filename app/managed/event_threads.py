"""The thread that an event of a session is about, if it is not the primary one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.managed_ids import number_in, thread_id
from app.store.store import Store
from app.store.told_events import THREAD_STOPS, Told

Json = dict[str, Any]


def thread_named(event: Told) -> Json:
    """The part of a client's answer that names the thread where it was asked; nothing for the primary one."""
    thread = event.body.get("session_thread_id")
    return {} if thread is None else {"session_thread_id": thread}


def made_in(session_id: str, call: Told) -> str:
    """The session in which a call was made that is told among the events of this one: it, or that of a thread."""
    number = number_in("sthr", str(call.body.get("session_thread_id")))
    return session_id if number is None else str(number)


def is_alive(store: Store, session_id: str, thread: str) -> bool:
    """Is it a thread below the session's primary one that has not ended?"""
    return any(
        thread_id(one.session.id) == thread and one.status != "terminated"
        for one in store.threads.of(session_id)
    )


def stopped_by(events: Iterable[Told]) -> frozenset[str]:
    """The threads that these events stop."""
    named = (event.body.get("session_thread_id") for event in events if event.type in THREAD_STOPS)
    return frozenset(str(thread) for thread in named if thread is not None)
