"""Is the process there, does it want work, and has anybody come yet?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.distribution import version
from app.runtime.live_runs import LiveRuns
from app.store.store import Store
from app.web.access import owner
from app.web.long_poll import LongPoll
from app.web.query_parameters import PRETTY, Seconds
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response

READY_TIMEOUT: Final = Seconds(
    "timeout", "How long to wait for a session; at most 5 m.", most=300.0, default=30.0
)


class StatusJson(TypedDict):
    status: Literal["ok", "ready"]


class HealthJson(StatusJson):
    """`version` is Baton's."""

    version: str


class ReadyJson(TypedDict):
    """`active_sessions`: how many have a run at work in this process. `toolset_health` is `degraded` while a tool
    server that a run uses can't be had. `agents`: `default` while Baton's own agent stands in for
    agent files that are not there."""

    status: Literal["ready"]
    ready: bool
    active_sessions: int
    store_connected: bool
    toolset_health: Literal["ok", "degraded"]
    agents: Literal["own", "default"]


class HealthResource(Resource):
    """Answers load balancers, and clients that wait for work. `is_degraded` says how the tool servers are,
    `has_own_agents` whether there are agent files."""

    name = "health"

    def __init__(
        self,
        store: Store,
        runs: LiveRuns,
        waits: LongPoll,
        is_degraded: Callable[[], bool],
        has_own_agents: Callable[[], bool],
    ) -> None:
        self._has_own_agents = has_own_agents
        self._is_degraded = is_degraded
        self._store = store
        self._runs = runs
        self._waits = waits

    @get(
        "/api/ping",
        "Is the process there?",
        answers={200: ResponseSpec("Yes.", StatusJson)},
        is_open=True,
        stores=False,
    )
    def ping(self) -> Response:
        return json_response({"status": "ok"})

    @get(
        "/health",
        "Is the process there, and of which version?",
        answers={200: ResponseSpec("Yes.", HealthJson)},
        is_open=True,
        stores=False,
    )
    def health(self) -> Response:
        return json_response({"status": "ok", "version": version()})

    @get(
        "/ready",
        "Does the process want work?",
        answers={200: ResponseSpec("Yes.", ReadyJson)},
        refusals=(errors.Draining,),
        is_open=True,
    )
    def ready(self) -> Response:
        """Draining or StoreUnavailable (503) while this process should get no new work."""
        if self._runs.draining:
            raise errors.Draining()
        self._store.runs.recent(limit=1)
        body: ReadyJson = {
            "status": "ready",
            "ready": True,
            "active_sessions": len(self._runs.all()),
            "store_connected": True,
            "toolset_health": "degraded" if self._is_degraded() else "ok",
            "agents": "own" if self._has_own_agents() else "default",
        }
        return json_response(body)

    @get(
        "/api/ready",
        "Waits until there is a session",
        parameters=(PRETTY, READY_TIMEOUT),
        answers={200: ResponseSpec("There is one.", StatusJson)},
        refusals=(errors.InvalidRequest, errors.NoSessions, errors.Draining, errors.ServerFull),
    )
    def sessions_ready(self) -> Response:
        """Waits until there is a session that the asker may see, in a stream's place, since it holds a thread.
        ServerFull, NoSessions, Draining."""
        if not self._waits.until(
            lambda: self._store.sessions.any(owner=owner()), seconds=READY_TIMEOUT.read()
        ):
            raise errors.NoSessions()
        return json_response({"status": "ready"})
