"""Resources of a session of the Managed Agents API."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response

from app.errors import InvalidRequest
from app.managed.bodies import read
from app.managed.calls import Calls, delete, get, post
from app.managed.files.mounts import REPOSITORY, Mounts
from app.managed.files.resource_bodies import FileResource, UpdateResource
from app.managed.files.resource_json import resource_json
from app.managed.files.session_files import SessionFiles
from app.managed.id_validation import checked, number_of
from app.managed.paging import page_json, window
from app.managed.places import refuse_overlap
from app.store.managed_sessions import ManagedSession
from app.store.resource_store import Resource
from app.store.store import Store
from app.web.access import owner
from app.web.response_json import json_response

MOST = 1000


class ResourceCalls(Calls):
    prefix = "/v1/sessions/<session_id>/resources"

    def __init__(self, store: Store, mounts: Mounts, files: SessionFiles) -> None:
        self._store = store
        self._mounts = mounts
        self._files = files

    @get("")
    def page(self, session_id: str) -> Response:
        """All of them, unless a limit is given: there are some hundred at most."""
        asked = window(default=MOST, most=MOST)
        number = self._found(session_id).session.id
        behind = 0 if asked.after is None else asked.after[0]
        all_of_them = self._store.resources.of([number])[number]
        left = [one for one in all_of_them if one.number > behind][: asked.limit + 1]
        return json_response(page_json(left, asked, resource_json, lambda one: (float(one.number), one.id)))

    @post("")
    def add(self, session_id: str) -> Response:
        body = read(FileResource)
        found = self._changeable(session_id)
        [new] = self._mounts.new(
            [body], session_id=found.session.id, session_owner=found.session.owner, owner=owner()
        )

        def check(there: Sequence[Resource]) -> None:
            refuse_overlap(new.mount_path, [one.mount_path for one in there], "file")

        added = self._store.resources.add(found.session.id, new, check)
        self._files.mount(found.session)
        return json_response(resource_json(added))

    @get("/<resource_id>")
    def retrieve(self, session_id: str, resource_id: str) -> Response:
        return json_response(resource_json(self._resource(self._found(session_id), resource_id)))

    @post("/<resource_id>")
    def update(self, session_id: str, resource_id: str) -> Response:
        body = read(UpdateResource)
        found = self._changeable(session_id)
        if self._resource(found, resource_id).settings["type"] != REPOSITORY:
            raise InvalidRequest("authorization_token: this resource has none")
        sealed = self._mounts.sealed(body.authorization_token)
        return json_response(
            resource_json(self._store.resources.replace_token(found.session.id, resource_id, sealed))
        )

    @delete("/<resource_id>")
    def delete(self, session_id: str, resource_id: str) -> Response:
        found = self._changeable(session_id)
        resource = self._resource(found, resource_id)
        if resource.file_id is None:
            raise InvalidRequest("Only resources of the type file can be taken away from a session.")
        self._store.resources.delete(found.session.id, resource_id)
        self._files.unmount(found.session, resource.mount_path)
        return json_response({"id": resource_id, "type": "session_resource_deleted"})

    def _found(self, session_id: str) -> ManagedSession:
        return self._store.managed.get(number_of(session_id), owner=owner())

    def _changeable(self, session_id: str) -> ManagedSession:
        found = self._found(session_id)
        if found.archived_at is not None:
            raise InvalidRequest(f"Session {session_id} is archived.")
        return found

    def _resource(self, found: ManagedSession, resource_id: str) -> Resource:
        return self._store.resources.get(found.session.id, checked("sesrsc", resource_id))
