"""Threads of a session of the Managed Agents API. A session has its primary one, and no others yet."""

from __future__ import annotations

from typing import Protocol

from flask import Response

from app.door_ids import thread_id
from app.errors import InvalidRequest, NotFound
from app.managed.calls import Calls, get, post
from app.managed.given_ids import number_of
from app.managed.paging import asked_statuses
from app.managed.session_json import status_of, thread_json
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.web.access import owner
from app.web.response_json import json_response


class Events(Protocol):
    """Lists and follows what happens in a session."""

    def listed(self, found: ManagedSession, *, ordered: bool) -> Response: ...

    def followed(self, found: ManagedSession) -> Response: ...


class ThreadCalls(Calls):
    prefix = "/v1/sessions/<session_id>/threads"

    def __init__(self, store: Store, events: Events) -> None:
        """What happens in the primary thread is all that happens in the session."""
        self._store = store
        self._events = events

    @get("")
    def page(self, session_id: str) -> Response:
        found = self._store.managed.get(number_of(session_id), owner=owner())
        statuses = asked_statuses()
        shown = [thread_json(found)] if not statuses or status_of(found) in statuses else []
        return json_response({"data": shown, "next_page": None})

    @get("/<thread>")
    def retrieve(self, session_id: str, thread: str) -> Response:
        return json_response(thread_json(self._found(session_id, thread)))

    @post("/<thread>/archive")
    def archive(self, session_id: str, thread: str) -> Response:
        self._found(session_id, thread)
        raise InvalidRequest("The primary thread can't be archived; archive its session.")

    @get("/<thread>/events")
    def events(self, session_id: str, thread: str) -> Response:
        return self._events.listed(self._found(session_id, thread), ordered=False)

    @get("/<thread>/stream")
    def stream(self, session_id: str, thread: str) -> Response:
        return self._events.followed(self._found(session_id, thread))

    def _found(self, session_id: str, thread: str) -> ManagedSession:
        """NotFound also for a thread of another session."""
        found = self._store.managed.get(number_of(session_id), owner=owner())
        if thread != thread_id(found.session.id):
            raise NotFound("Thread not found.")
        return found
