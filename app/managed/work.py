"""The queue of work of a self-hosted environment, whose workers make the calls of its sessions' tools."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request

from app.errors import Forbidden, InvalidRequest, LeaseLost
from app.managed.bodies import patched, read
from app.managed.calls import Calls, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.run_answers import RunAnswers
from app.managed.work_bodies import (
    MAX_BLOCK_MILLISECONDS,
    MAX_RECLAIM_MILLISECONDS,
    MAX_TTL_SECONDS,
    RECLAIM_MILLISECONDS,
    StopWork,
    UpdateWork,
    heartbeat_json,
    is_expected,
    lease_json,
    stats_json,
    whole,
    work_json,
)
from app.store.definitions import require_own
from app.store.store import Store
from app.store.work_rows import WorkItem
from app.web.access import owner, role
from app.web.item_tokens import digest_of, new_item_token, shown_item
from app.web.long_poll import LongPoll
from app.web.response_json import json_response
from app.web.worker_routes import OF_ENVIRONMENT, OF_ITEM

Json = dict[str, Any]

SETTLE_SECONDS: Final = 3.0
_BOTH: Final = (OF_ENVIRONMENT, OF_ITEM)
_MAX_WORKER: Final = 200


class WorkEnds:
    """Sees to what workers leave behind. Any thread may call it."""

    def __init__(self, store: Store, run_answers: RunAnswers) -> None:
        self._store = store
        self._run_answers = run_answers

    def settle(self, environment_id: str | None = None) -> None:
        for item_id, session_id in self._store.work_ends.due(environment_id):
            if self._store.work_ends.settle(item_id, session_id):
                self._run_answers.give(session_id, by="server")

    def settle_in_turn(self) -> None:
        """One process at a time does it for all."""
        if self._store.jobs.take("settle work", period=SETTLE_SECONDS):
            self.settle()


class WorkCalls(Calls):
    prefix = "/v1/environments/<environment_id>/work"

    def __init__(self, store: Store, ends: WorkEnds, waits: LongPoll) -> None:
        self._store = store
        self._ends = ends
        self._waits = waits

    @get("", workers=[OF_ENVIRONMENT])
    def page(self, environment_id: str) -> Response:
        asked = window()
        self._check(environment_id)
        rows = self._store.work.page(environment_id, limit=asked.limit, after=asked.after)
        return json_response(page_json(rows, asked, work_json, lambda one: (one.created_at, one.id)))

    @get("/poll", workers=[OF_ENVIRONMENT])
    def poll(self, environment_id: str) -> Response:
        """An item for this worker, or null. It changes something although it is a GET."""
        if role() == "readonly":
            raise Forbidden("This token may look, but change nothing.")
        milliseconds = whole("block_ms", 1, MAX_BLOCK_MILLISECONDS, default=None) or 0
        reclaim = whole("reclaim_older_than_ms", 0, MAX_RECLAIM_MILLISECONDS, default=RECLAIM_MILLISECONDS)
        self._check(environment_id)
        if worker := request.headers.get("Anthropic-Worker-ID", "").strip()[:_MAX_WORKER]:
            self._store.work.note_poll(environment_id, worker)
        given: list[tuple[WorkItem, str]] = []

        def is_given() -> bool:
            self._ends.settle(environment_id)
            found = self._store.work.claim(
                environment_id, new_item_token, digest_of, reclaim_seconds=(reclaim or 0) / 1000
            )
            given.extend([found] if found is not None else [])
            return found is not None

        if not self._waits.until(is_given, seconds=milliseconds / 1000):
            return json_response(None)
        item, token = given[0]
        return json_response(work_json(item, token=token))

    @get("/stats", workers=[OF_ENVIRONMENT])
    def stats(self, environment_id: str) -> Response:
        self._check(environment_id)
        return json_response(stats_json(self._store.work.stats(environment_id)))

    @get("/<work_id>")
    def retrieve(self, environment_id: str, work_id: str) -> Response:
        self._check(environment_id)
        return json_response(work_json(self._store.work.get(environment_id, checked("work", work_id))))

    @post("/<work_id>")
    def update(self, environment_id: str, work_id: str) -> Response:
        body = read(UpdateWork)
        self._check(environment_id)
        changed = self._store.work.change_metadata(
            environment_id, checked("work", work_id), lambda before: patched(before, body.metadata)
        )
        return json_response(work_json(changed))

    @post("/<work_id>/ack", workers=_BOTH)
    def ack(self, environment_id: str, work_id: str) -> Response:
        self._check(environment_id)
        item = self._store.work.acknowledge(environment_id, checked("work", work_id), _digest())
        return json_response(work_json(item))

    @post("/<work_id>/heartbeat", workers=_BOTH)
    def heartbeat(self, environment_id: str, work_id: str) -> Response:
        seconds = whole("desired_ttl_seconds", 1, MAX_TTL_SECONDS, default=None)
        self._check(environment_id)
        try:
            item, extended = self._store.work.heartbeat(
                environment_id, checked("work", work_id), _digest(), is_expected, seconds=seconds
            )
        except LeaseLost as lost:
            lost.details = {
                "error_code": "heartbeat_precondition_failed",
                "current_state": lease_json(lost.item),
            }
            raise
        return json_response(heartbeat_json(item, extended=extended))

    @post("/<work_id>/stop", workers=_BOTH)
    def stop(self, environment_id: str, work_id: str) -> Response:
        body = read(StopWork)
        self._check(environment_id)
        item = self._store.work.stop(
            environment_id,
            checked("work", work_id),
            _digest(),
            force=body.force is True,
            given_up=role() == "worker",
        )
        if item.state == "stopped":
            self._ends.settle(environment_id)
        return json_response(work_json(item))

    def _check(self, environment_id: str) -> None:
        """NotFound, Forbidden for what others share, InvalidRequest for an environment without a queue. A worker's
        token names its environment, so nobody owns what it asks for."""
        whose = None if role() == "worker" else owner()
        found = self._store.environments.get(checked("env", environment_id), owner=whose)
        require_own(found, whose)
        if found.definition["config"]["type"] != "self_hosted":
            raise InvalidRequest(f"Environment {environment_id} is not self_hosted: it has no queue of work.")


def _digest() -> str | None:
    token = shown_item()
    return None if token is None else token.digest.hex()
