"""Threads of a session of the Managed Agents API: its primary one, and those of the members of its agent's roster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flask import Response

from app.conversation.session_thread import SessionThread
from app.errors import InvalidRequest, NotFound
from app.managed.calls import Calls, get, post
from app.managed.id_validation import number_of
from app.managed.paging import asked_statuses, page_json, window
from app.managed.run_answers import RunAnswers
from app.managed.session_json import child_thread_json, status_of, status_of_thread, thread_json
from app.managed_ids import thread_id
from app.store.key_pages import Place
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.web.access import owner, requester
from app.web.response_json import json_response

Json = dict[str, Any]

MOST: Final = 1000


class Events(Protocol):
    """Lists and follows what happens in a session."""

    def listed(
        self, found: ManagedSession, thread: SessionThread | None = None, *, ordered: bool
    ) -> Response: ...

    def followed(self, found: ManagedSession, thread: SessionThread | None = None) -> Response: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A thread of the session; the primary one has none `below`. `others` are all that are below the primary one."""

    session: ManagedSession
    below: SessionThread | None
    others: Sequence[SessionThread] = ()

    @property
    def place(self) -> Place:
        session = self.session.session if self.below is None else self.below.session
        return session.created_at, session.id

    @property
    def status(self) -> str:
        return status_of(self.session) if self.below is None else status_of_thread(self.session, self.below)

    def json(self) -> Json:
        if self.below is None:
            return thread_json(self.session, self.others)
        return child_thread_json(self.session, self.below)


class ThreadCalls(Calls):
    prefix = "/v1/sessions/<session_id>/threads"

    def __init__(self, store: Store, events: Events, run_answers: RunAnswers) -> None:
        """What happens in the primary thread is all that is told of the session."""
        self._store = store
        self._events = events
        self._run_answers = run_answers

    @get("")
    def page(self, session_id: str) -> Response:
        asked, statuses = window(default=MOST, most=MOST), asked_statuses()
        shown = [
            one
            for one in self._all(session_id)
            if (not statuses or one.status in statuses) and (asked.after is None or one.place > asked.after)
        ]
        return json_response(page_json(shown, asked, _Found.json, lambda one: one.place))

    @get("/<thread>")
    def retrieve(self, session_id: str, thread: str) -> Response:
        return json_response(self._found(session_id, thread).json())

    @post("/<thread>/archive")
    def archive(self, session_id: str, thread: str) -> Response:
        found = self._found(session_id, thread)
        if found.below is None:
            raise InvalidRequest("The primary thread can't be archived; archive its session.")
        if found.session.archived_at is not None:
            raise InvalidRequest(f"Session {session_id} is archived.")
        number = found.session.session.id
        self._store.threads.end(
            number,
            found.below,
            name=child_thread_json(found.session, found.below)["agent"]["name"],
            refusal=f'Thread {thread} cannot be archived while its status is "running".',
        )
        self._run_answers.give(number, by=requester())  # what it waits for gets no answer any more
        return json_response(self._found(session_id, thread).json())

    @get("/<thread>/events")
    def events(self, session_id: str, thread: str) -> Response:
        found = self._found(session_id, thread)
        return self._events.listed(found.session, found.below, ordered=False)

    @get("/<thread>/stream")
    def stream(self, session_id: str, thread: str) -> Response:
        found = self._found(session_id, thread)
        return self._events.followed(found.session, found.below)

    def _all(self, session_id: str) -> list[_Found]:
        """The primary thread, and the others in the order in which they came to be."""
        session = self._store.managed.get(number_of(session_id), owner=owner())
        others = self._store.threads.of(session.session.id)
        return [_Found(session, None, others), *(_Found(session, one) for one in others)]

    def _found(self, session_id: str, thread: str) -> _Found:
        """NotFound also for a thread of another session."""
        for one in self._all(session_id):
            if thread_id(one.place[1]) == thread:
                return one
        raise NotFound("Thread not found.")
