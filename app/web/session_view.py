"""A session with its messages as JSON, read and written page by page: the body of its routes' answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.conversation.run import Run
from app.conversation.session import Session
from app.store.store import Store
from app.web.json_streaming import PAGE, Listed
from app.web.response_json import message_payload, session_detail, task_payload


class SessionView:
    """Shared by all request threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shown(
        self,
        session: Session,
        run: Run | None,
        *,
        first: int = 0,
        last: int | None = None,
        more: Mapping[str, Any] | None = None,
        always: bool = False,
    ) -> Listed:
        """With the messages from one position to another; all that are there now, unless it is said. `more` is
        added to the session's own fields; `always`: with `messages` also if there are none."""
        store = self._store
        definitions = store.sessions.tool_definitions(session.id)
        end = store.sessions.last_position(session.id) if last is None else last
        head, tail = session_detail(session, run)
        if tasks := store.sessions.tasks(session.id):
            tail["tasks"] = [task_payload(task) for task in tasks]
        pages = (
            [
                message_payload(message, definitions)
                for message in store.sessions.page_of_messages(
                    session.id, first=begin, last=min(begin + PAGE - 1, end)
                )
            ]
            for begin in range(first, end + 1, PAGE)
        )
        return Listed(head, "messages", pages, {**tail, **(more or {})}, always)
