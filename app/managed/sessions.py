"""Sessions of the Managed Agents API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from flask import Response

from app.conversation.managed_events import is_self_hosted
from app.errors import InvalidRequest
from app.managed.bodies import patched, read
from app.managed.budgets import cap as cap_of
from app.managed.budgets import changed_budget
from app.managed.calls import Calls, delete, get, post
from app.managed.directories import Directories
from app.managed.environments import UNRESTRICTED
from app.managed.id_validation import number_of
from app.managed.new_sessions import NewSessions
from app.managed.paging import SessionPages
from app.managed.resuming import Resuming
from app.managed.served_tools import ServedTools
from app.managed.session_bodies import (
    CreateSession,
    UpdateSession,
    refuse_unserved,
    with_tools,
)
from app.managed.session_json import session_json
from app.managed_ids import new_id
from app.runtime.manager import RuntimeManager
from app.runtime.run_control import RunControl
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.store.told_events import event_row
from app.web.access import owner, requester
from app.web.response_json import json_response
from app.web.worker_routes import OF_ITEM

Json = dict[str, Any]

DELETE_SECONDS: Final = 10.0


class SessionCalls(Calls):
    prefix = "/v1/sessions"

    def __init__(
        self,
        store: Store,
        control: RunControl,
        manager: RuntimeManager,
        directories: Directories,
        served: ServedTools,
        new: NewSessions,
        resuming: Resuming,
    ) -> None:
        self._store = store
        self._control = control
        self._manager = manager
        self._directories = directories
        self._served = served
        self._new = new
        self._resuming = resuming

    @post("")
    def create(self) -> Response:
        made = self._new.make(body := read(CreateSession))
        if body.initial_events:
            self._manager.start_queued(made.session.id)
            made = self._store.managed.get(made.session.id, owner=None)
        return self._shown(made)

    @get("")
    def page(self) -> Response:
        pages = SessionPages.of_request()
        rows = self._store.managed.page(pages.wanted, owner=owner())
        return json_response(pages.answer(rows, self._json_of([one.session.id for one in rows])))

    @get("/<session_id>", workers=[OF_ITEM])
    def retrieve(self, session_id: str) -> Response:
        return self._shown(self.found(session_id))

    @post("/<session_id>")
    def update(self, session_id: str) -> Response:
        body = read(UpdateSession)
        if body.given("vault_ids"):
            raise InvalidRequest("vault_ids: the vaults of a session can't be changed")

        def change(before: ManagedSession) -> ManagedSession:
            if before.archived_at is not None:
                raise InvalidRequest(f"Session {session_id} is archived.")
            settings = dict(before.settings)
            settings["metadata"] = patched(settings["metadata"], body.metadata)
            if body.agent is not None:
                if before.at_work:
                    raise InvalidRequest("agent: it can be changed only while the session is idle")
                if settings.get("agent_file") is not None:
                    raise InvalidRequest("agent: the tools of an agent file can't be changed")
                settings["agent"] = with_tools(settings["agent"], body.agent)
                refuse_unserved(settings["agent"])
                self._served.check(settings["agent"], "agent.tools", self_hosted=is_self_hosted(settings))
                networking = settings.get("networking", UNRESTRICTED)
                self._served.check_servers(settings["agent"], networking, "agent.tools")
            cap = before.session.budget
            if body.given("budget"):
                own, spent = settings.get("budget"), self._store.quotas.spent(before.session.id)
                settings["budget"] = changed_budget(own, body.budget, spent)
                if cap == self._cap(own):  # else an operator has set another one
                    cap = self._cap(settings["budget"])
            title = (body.title or "") if body.given("title") else before.session.title
            return replace(
                before, settings=settings, session=replace(before.session, title=title, budget=cap)
            )

        found = self._store.managed.change(number_of(session_id), change, self._told_of_change, owner=owner())
        if body.given("budget"):
            self._resuming.resume(found.session.id)
            found = self.found(session_id)
        return self._shown(found)

    @post("/<session_id>/archive")
    def archive(self, session_id: str) -> Response:
        refusal = (
            f'Session {session_id} cannot be archived while its status is "running". '
            "Only pending or idle sessions may be archived."
        )
        by = requester()
        found = self._store.managed.archive(number_of(session_id), by=by, owner=owner(), refusal=refusal)
        self._control.interrupt(found.session.id, by=by)  # what waits for an answer gets none any more
        return self._shown(found)

    @delete("/<session_id>")
    def delete(self, session_id: str) -> Response:
        found = self.found(session_id)
        if found.at_work:
            raise InvalidRequest(
                "Cannot delete session while it is running. Send an interrupt event or wait for the session to "
                "complete."
            )
        self._control.delete(found.session.id, by=requester(), wait=DELETE_SECONDS)
        gone = found.session
        self._directories.remove(gone.id, gone.working_dir, owner=gone.owner)
        return json_response({"id": session_id, "type": "session_deleted"})

    def _cap(self, budget: Json | None) -> float | None:
        return cap_of(budget, self._store.quotas.limits.session_budget)

    def found(self, session_id: str) -> ManagedSession:
        return self._store.managed.get(number_of(session_id), owner=owner())

    def _shown(self, found: ManagedSession) -> Response:
        return json_response(self._json_of([found.session.id])(found))

    def _json_of(self, session_ids: Sequence[str]) -> Callable[[ManagedSession], Json]:
        """Makes the answers about these sessions."""
        resources, outcomes = self._store.resources.of(session_ids), self._store.outcomes.of(session_ids)
        return lambda one: session_json(one, resources[one.session.id], outcomes.get(one.session.id, ()))

    def _told_of_change(self, before: ManagedSession, after: ManagedSession) -> Sequence[Json]:
        body: Json = {}
        if after.session.title != before.session.title:
            body["title"] = after.session.title or None
        if after.settings["metadata"] != before.settings["metadata"]:
            body["metadata"] = after.settings["metadata"]
        if after.settings["agent"] != before.settings["agent"]:
            body["agent"] = after.settings["agent"]
        if after.settings.get("budget") != before.settings.get("budget"):
            body["budget"] = after.settings["budget"]
        session_id = after.session.id
        row = event_row(
            session_id,
            new_id("sevt"),
            "session.updated",
            body,
            at=self._store.database.now(),
            number=None,
        )
        return [row]
