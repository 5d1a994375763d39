"""Routes that begin a stream of events: start a run, follow a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from flask import Response
from flask import request as http_request

from app import errors
from app.conversation.run import Run
from app.conversation.transcript import Message
from app.runtime.live_run import LiveRun
from app.runtime.live_runs import LiveRuns, describe
from app.runtime.manager import RuntimeManager
from app.runtime.pricing import Pricing
from app.runtime.run_control import RunControl
from app.runtime.run_plan import Planner
from app.runtime.run_preflight import preflight
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.own_streams import OwnStream
from app.runtime.streams.reader_factory import ReaderFactory
from app.store.idempotency import KeyUse, KeyUsed, Outcome
from app.store.run_request import RunRequest
from app.store.store import Store
from app.web.access import own_name, owner, requester, require_visible
from app.web.error_prefix import error_prefix
from app.web.idempotent import idempotency_key
from app.web.program import later_client
from app.web.query_parameters import (
    IDEMPOTENCY_KEY,
    IF_MATCH,
    LAST_EVENT_ID,
    PRETTY,
    SINCE,
    Choice,
    Seconds,
    cursor,
    expected_position,
)
from app.web.queue import QueuedJson, store_follow_ups
from app.web.resource import Resource, ResponseSpec, get, post
from app.web.response_json import json_response
from app.web.run_body import RUN_BODY, read_run
from app.web.run_json import RunAnswerJson, run_payload
from app.web.sse import Streams, client_left
from app.web.wire_encoders import wire_encoder
from app.web.wire_generation import WIRE, Generation, generation

MAX_BUSY_WAIT: Final = 60.0
INTERRUPT_WAIT: Final = 15.0

ON_DISCONNECT: Final = Choice(
    "on_disconnect",
    "What becomes of the run if this client hangs up; the default is a setting of the server.",
    ("cancel", "continue"),
)
WHEN_BUSY: Final = Choice(
    "when_busy",
    "What to do if a run is at work: refuse, wait for its end, stop it, or queue the messages.",
    ("reject", "wait", "interrupt", "queue"),
    "reject",
)
WAIT_TIMEOUT: Final = Seconds(
    "wait_timeout",
    "How long to wait for the end of the run at work; at most 60 s, with `interrupt` 15 s.",
    most=MAX_BUSY_WAIT,
    default=MAX_BUSY_WAIT,
)
FROM: Final = Choice(
    "from",
    "Where a stream without a cursor begins: with the first event that is kept, or with the run at work. "
    "The default is `beginning`; with `BATON_WIRE=march-2026`, `run`.",
    ("beginning", "run"),
)
STREAM: Final = Choice(
    "stream", "`false`: 202 and no stream; the run goes on by itself.", ("true", "false"), "true"
)


class KeyFor(Protocol):
    def __call__(self, request: RunRequest, *, waits: bool) -> str:
        """`waits`: a run at work is no reason to refuse it."""
        ...


class RunStartResource(Resource):
    """Starts runs, and follows sessions."""

    name = "runs"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(
        self,
        store: Store,
        planner: Planner,
        runs: LiveRuns,
        manager: RuntimeManager,
        control: RunControl,
        readers: ReaderFactory,
        disconnects: DisconnectWatcher,
        streams: Streams,
        pricing: Pricing,
        *,
        on_disconnect: str,
        key_for: KeyFor,
    ) -> None:
        """`key_for` finds the key of the team that runs on the session of a request."""
        self._store = store
        self._planner = planner
        self._runs = runs
        self._manager = manager
        self._control = control
        self._readers = readers
        self._disconnects = disconnects
        self._streams = streams
        self._pricing = pricing
        self._on_disconnect = on_disconnect
        self._key_for = key_for

    @post(
        (
            "/agent/<key>",
            "/agent/<key>/<path:name>",
        ),
        "Runs an agent on a session",
        body=RUN_BODY,
        parameters=(
            *(WHEN_BUSY, WAIT_TIMEOUT, ON_DISCONNECT, STREAM),
            *(PRETTY, IDEMPOTENCY_KEY, IF_MATCH, WIRE),
        ),
        answers={
            200: ResponseSpec(
                "The run's events, to its end.",
                str,
                media="text/event-stream",
                headers=("X-Run-ID", "Idempotent-Replayed"),
            ),
            202: ResponseSpec(
                "The run goes on by itself (`stream=false`), or the messages wait (`when_busy=queue`).",
                RunAnswerJson | QueuedJson,
                headers=("Location", "Idempotent-Replayed"),
            ),
        },
        refusals=(
            *(errors.SessionNotFound, errors.AgentNotFound, errors.InvalidAgentConfig),
            *(errors.SessionBusy, errors.IdempotencyConflict, errors.StalePrecondition, errors.QueueFull),
            *(errors.InvalidTranscript, errors.MissingEnvironment, errors.ServerFull, errors.Draining),
            *(errors.TooManyRuns, errors.BudgetReached, errors.UnpricedModel, errors.SessionFull),
        ),
    )
    def run(self, session_id: str, key: str, name: str | None = None) -> Response:
        after_hangup = ON_DISCONNECT.read(self._on_disconnect)
        when_busy = WHEN_BUSY.read()
        streamed = STREAM.read() == "true"
        wire_encoder()  # refuses a generation that there is not, before anything begins
        messages, options = read_run()
        if owner() is not None or self._runs.find(session_id) is None:
            # Before it can be found busy: a stranger is not told with what. Who may see everything needs no
            # database to be told that a run is at work here.
            require_visible(self._store, session_id, "run session")
        if options.chosen_model is not None and when_busy == "queue":
            raise errors.InvalidRequest("a message that may have to wait can't choose the model", status=422)
        contents = [message.content for message in messages]
        use = idempotency_key((key, name, contents, *([options.model] if options.model else [])))
        if use is not None and (outcome := self._store.idempotency.outcome(use)):
            return self._again(outcome, streamed)
        if options.chosen_model:
            with error_prefix("run session"):
                self._pricing.check(session_id, options.chosen_model)
        wanted: str | None = None
        program = later_client(streams=True) if streamed and when_busy == "reject" else None
        with self._readers.own_streams.asking(session_id, program) as own:
            try:
                with error_prefix("run session"):
                    request = self._request(session_id, key, name, messages, use, options.chosen_model)
                    own_key = self._key_for(request, waits=when_busy != "reject")
                    request = replace(request, key=own_key)
                    if when_busy != "reject":
                        wanted = preflight(
                            self._store, self._planner, self._runs, request, when_busy=when_busy
                        )
                    live = self._start(request, when_busy)
            except (KeyUsed, errors.SessionBusy) as busy:
                if use is not None and (outcome := self._control.outcome(session_id, use)):
                    return self._again(outcome, streamed)  # the same request, a moment before
                if isinstance(busy, errors.SessionBusy) and when_busy == "queue":
                    return self._queue(session_id, messages, use, wanted)
                raise
            return self._answer_run(live, after_hangup, streamed, own)

    def _request(
        self,
        session_id: str,
        key: str,
        name: str | None,
        messages: Sequence[Message],
        use: KeyUse | None,
        model: str | None,
    ) -> RunRequest:
        return RunRequest(
            session_id=session_id,
            key=key,
            name=name,
            messages=messages,
            visible_to=owner(),
            expected_position=expected_position(),
            idempotency=use,
            options={"started_by": requester()},
            headers=dict(http_request.headers),
            model=model,
        )

    def _start(self, request: RunRequest, when_busy: str) -> LiveRun:
        if when_busy in ("reject", "queue"):
            return self._manager.start(request)
        longest = WAIT_TIMEOUT.read()
        if when_busy == "interrupt":
            if (stopped := self._control.interrupt(request.session_id, by=requester())) is not None:
                self._store.audit.note(
                    "cancel", stopped.session_id, run_id=stopped.id, detail="when_busy=interrupt"
                )
                request = replace(request, replacing=stopped.id)
            longest = min(longest, INTERRUPT_WAIT)
        with client_left(self._disconnects) as left:
            return self._control.line.start(request, seconds=longest, gave_up=left.is_set, name=own_name())

    def _answer_run(
        self, live: LiveRun, after_hangup: str, streamed: bool, own: OwnStream | None
    ) -> Response:
        if not streamed:
            return self._accepted(describe(live))

        def left() -> None:
            if after_hangup == "cancel":
                self._control.stop(live, "client left")

        try:
            headers = {"X-Run-ID": live.run.id}
            reader = self._readers.of_run(live, wire_encoder(), own)
            return self._streams.respond(reader, on_hangup=left, headers=headers)
        except BaseException:
            left()  # without a response there is no client that could
            raise

    def _accepted(self, run: Run, *, replayed: bool = False) -> Response:
        response = json_response({"run": run_payload(run)}, 202)
        response.headers["Location"] = f"/api/runs/{run.id}"
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def _again(self, outcome: Outcome, streamed: bool) -> Response:
        """The first request's stream: replayed, and followed to its end if it still goes on."""
        if outcome.run_id is None:
            return json_response({**outcome.response, "duplicate": True}, 202)
        first = self._store.runs.get(outcome.run_id)
        live = self._runs.find(first.session_id)
        mine = live is not None and live.run.id == first.id
        if not streamed:
            return self._accepted(first, replayed=True)
        reader = (
            self._readers.of_run(live, wire_encoder())
            if live is not None and mine
            else self._readers.of_past_run(first, wire_encoder())
        )
        return self._streams.respond(reader, headers={"X-Run-ID": first.id, "Idempotent-Replayed": "true"})

    def _queue(
        self, session_id: str, messages: Sequence[Message], use: KeyUse | None, agent: str | None
    ) -> Response:
        contents = [message.content for message in messages]
        try:
            answer = store_follow_ups(self._store, self._control, session_id, contents, use, agent=agent)
        except KeyUsed:
            if use is None or (outcome := self._store.idempotency.outcome(use)) is None:
                raise
            return self._again(outcome, streamed=True)
        response = json_response(answer, 202)
        response.headers["Location"] = f"/api/sessions/{session_id}/events"
        return response

    @get(
        "/events",
        "Follows a session's events, from any process",
        parameters=(SINCE, LAST_EVENT_ID, FROM, WIRE),
        answers={200: ResponseSpec("What came since, then what comes.", str, media="text/event-stream")},
        refusals=(errors.SessionNotFound, errors.InvalidRequest, errors.ServerFull, errors.Draining),
    )
    def events(self, session_id: str) -> Response:
        """Later clients expect all that is kept when they name no cursor; those of March 2026 the run at work."""
        march = generation() is Generation.MARCH
        whole = FROM.read("run" if march else "beginning") == "beginning"
        after = cursor(header_first=march)
        self._store.sessions.get(session_id, owner=owner())
        program = later_client(streams=True) if after is not None and not http_request.args else None
        return self._streams.respond(
            self._readers.of_session(session_id, after, wire_encoder(), whole=whole, program=program)
        )
