"""Routes of runs: start one, answer it, stop it, follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flask import Blueprint, Response
from flask import request as http_request

from app.conversation.run import LIVE, Run
from app.conversation.transcript import Message
from app.errors import InvalidRequest, NothingToAnswer, RunNotFound, SessionBusy, SessionNotFound
from app.runtime.live_run import LiveRun
from app.runtime.live_runs import describe
from app.runtime.pricing import Pricing
from app.runtime.run_control import RunControl
from app.runtime.run_preflight import preflight
from app.runtime.runtime import Runtime
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.reader_factory import ReaderFactory
from app.store.idempotency import KeyUse, KeyUsed, Outcome
from app.store.run_request import RunRequest
from app.store.store import Store
from app.web.access import own_name, owner, requester
from app.web.error_prefix import error_prefix
from app.web.query_parameters import (
    SESSION_ID,
    Choice,
    Matching,
    Parameter,
    Seconds,
    WordList,
    cursor,
    expected_position,
    idempotency_key,
)
from app.web.queue import store_follow_ups
from app.web.request_models import CancelRun, Elicit, Release, Resume, read, read_run
from app.web.response_json import json_response, run_in_view, run_payload
from app.web.sse import Streams, client_left

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
STREAM: Final = Choice(
    "stream", "`false`: 202 and no stream; the run goes on by itself.", ("true", "false"), "true"
)
CANCEL_AT: Final = Choice(
    "at", "`safe_point` lets the tool calls under way finish first.", ("now", "safe_point"), "now"
)
CANCEL_WAIT: Final = Seconds("wait", "How long to wait for the run's end; at most 60 s.", most=60.0)
STATUS: Final = WordList("status", "Runs in these statuses.")
SESSION: Final = Matching("session", "Runs of this session.", SESSION_ID, "session is the id of a session")
HOLDER: Final = Parameter("holder", "Runs of this host, or of this process (`host:pid`).")
OLDER_THAN: Final = Seconds("older_than", "Runs that began at least so long ago.", most=10.0**9)


def blueprint(
    store: Store,
    runtime: Runtime,
    control: RunControl,
    readers: ReaderFactory,
    disconnects: DisconnectWatcher,
    streams: Streams,
    pricing: Pricing,
    *,
    on_disconnect: str,
) -> Blueprint:
    routes = Blueprint("runs", __name__, url_prefix="/api")

    @routes.post("/sessions/<session:session_id>/agent/<key>", defaults={"name": None})
    @routes.post("/sessions/<session:session_id>/agent/<key>/<path:name>")
    def run(session_id: str, key: str, name: str | None) -> Response:
        after_hangup = ON_DISCONNECT.read(on_disconnect)
        when_busy = WHEN_BUSY.read()
        streamed = STREAM.read() == "true"
        messages, options = read_run()
        if owner() is not None or runtime.runs.find(session_id) is None:
            # Before it can be found busy: a stranger is not told with what. Who may see everything needs no
            # database to be told that a run is at work here.
            _visible(session_id, "run session")
        if options.chosen_model is not None and when_busy == "queue":
            raise InvalidRequest("a message that may have to wait can't choose the model", status=422)
        contents = [message.content for message in messages]
        use = idempotency_key((key, name, contents, *([options.model] if options.model else [])))
        if use is not None and (outcome := store.idempotency.outcome(use)):
            return _again(outcome, streamed)
        if options.chosen_model:
            with error_prefix("run session"):
                pricing.check(session_id, options.chosen_model)
        wanted: str | None = None
        try:
            with error_prefix("run session"):
                request = _request(session_id, key, name, messages, use, options.chosen_model)
                if when_busy != "reject":
                    wanted = preflight(store, runtime, request, when_busy=when_busy)
                live = _start(request, when_busy)
        except (KeyUsed, SessionBusy) as busy:
            if use is not None and (outcome := control.outcome(session_id, use)):
                return _again(outcome, streamed)  # the same request, a moment before
            if isinstance(busy, SessionBusy) and when_busy == "queue":
                return _queue(session_id, messages, use, wanted)
            raise
        return _answer_run(live, after_hangup, streamed)

    def _request(
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

    def _start(request: RunRequest, when_busy: str) -> LiveRun:
        if when_busy in ("reject", "queue"):
            return runtime.manager.start(request)
        longest = WAIT_TIMEOUT.read()
        if when_busy == "interrupt":
            if (stopped := control.interrupt(request.session_id, by=requester())) is not None:
                store.audit.note(
                    "cancel", stopped.session_id, run_id=stopped.id, detail="when_busy=interrupt"
                )
                request = replace(request, replacing=stopped.id)
            longest = min(longest, INTERRUPT_WAIT)
        with client_left(disconnects) as left:
            return control.start_when_free(request, seconds=longest, gave_up=left.is_set, name=own_name())

    def _answer_run(live: LiveRun, after_hangup: str, streamed: bool) -> Response:
        if not streamed:
            return _accepted(describe(live))

        def left() -> None:
            if after_hangup == "cancel":
                control.stop(live, "client left")

        try:
            headers = {"X-Run-ID": live.run.id}
            return streams.respond(readers.of_run(live), on_hangup=left, headers=headers)
        except BaseException:
            left()  # without a response there is no client that could
            raise

    def _accepted(run: Run, *, replayed: bool = False) -> Response:
        response = json_response({"run": run_payload(run)}, 202)
        response.headers["Location"] = f"/api/runs/{run.id}"
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def _again(outcome: Outcome, streamed: bool) -> Response:
        """The first request's stream: replayed, and followed to its end if it still goes on."""
        if outcome.run_id is None:
            return json_response({**outcome.response, "duplicate": True}, 202)
        first = store.runs.get(outcome.run_id)
        live = runtime.runs.find(first.session_id)
        mine = live is not None and live.run.id == first.id
        if not streamed:
            return _accepted(first, replayed=True)
        reader = readers.of_run(live) if live is not None and mine else readers.of_past_run(first)
        return streams.respond(reader, headers={"X-Run-ID": first.id, "Idempotent-Replayed": "true"})

    def _queue(
        session_id: str, messages: Sequence[Message], use: KeyUse | None, agent: str | None
    ) -> Response:
        contents = [message.content for message in messages]
        try:
            answer = store_follow_ups(store, control, session_id, contents, use, agent=agent)
        except KeyUsed:
            if use is None or (outcome := store.idempotency.outcome(use)) is None:
                raise
            return _again(outcome, streamed=True)
        response = json_response(answer, 202)
        response.headers["Location"] = f"/api/sessions/{session_id}/events"
        return response

    @routes.get("/sessions/<session:session_id>/events")
    def events(session_id: str) -> Response:
        store.sessions.get(session_id, owner=owner())
        return streams.respond(readers.of_session(session_id, cursor()))

    @routes.post("/sessions/<session:session_id>/resume")
    def resume(session_id: str) -> Response:
        body = read(Resume)
        _visible(session_id, "resume session")
        kinds = ("approval", "max_iterations")
        control.answer(
            session_id,
            body.answer(requester()),
            kinds=kinds,
            call_id=body.call_id or "",
            name=own_name(),
        )
        return json_response({"message": "session resumed"})

    @routes.post("/sessions/<session:session_id>/elicitation")
    def elicitation(session_id: str) -> Response:
        body = read(Elicit)
        _visible(session_id, "resume elicitation")
        try:
            control.answer(
                session_id,
                body.answer(requester()),
                kinds=("elicitation",),
                call_id=body.call_id or "",
                name=own_name(),
            )
        except NothingToAnswer as error:
            words = "failed to resume elicitation: no elicitation request in progress"
            raise NothingToAnswer(words) from error
        return json_response(None)

    @routes.post("/sessions/<session:session_id>/cancel")
    def cancel(session_id: str) -> Response:
        body = read(CancelRun)
        gently = CANCEL_AT.read() == "safe_point"
        wait = CANCEL_WAIT.read()
        _visible(session_id, "cancel run")
        stopped = control.cancel(
            session_id, by=requester(), run_id=body.run_id, wait=wait, at_safe_point=gently
        )
        detail = "at=safe_point" if gently else ""
        store.audit.note("cancel", stopped.session_id, run_id=stopped.id, detail=detail)
        return json_response({"run": run_payload(stopped)}, 202 if stopped.status in LIVE else 200)

    @routes.get("/runs")
    def runs() -> Response:
        """Filtered by `status`, `session`, `holder` (a host, or host:pid) and `older_than` seconds."""
        found = store.runs.recent(
            status=STATUS.read(),
            session_id=SESSION.read(),
            owner=owner(),
            holder=(HOLDER.given() or "").replace("\0", ""),
            older_than=OLDER_THAN.read() if OLDER_THAN.given() is not None else None,
        )
        tools = store.runs.calling([run.id for run in found if run.live])
        return json_response([run_in_view(run, tools.get(run.id)) for run in found])

    @routes.get("/runs/<session:run_id>")
    def one(run_id: str) -> Response:
        run = _own_run(run_id)
        return json_response(run_in_view(run, store.runs.calling([run_id]).get(run_id)))

    @routes.post("/runs/<session:run_id>/release")
    def release(run_id: str) -> Response:
        body = read(Release)
        _own_run(run_id)
        released = control.release(run_id, by=requester(), reason=body.reason or "")
        return json_response({"run": run_payload(released)})

    def _own_run(run_id: str) -> Run:
        run = store.runs.get(run_id)
        try:
            store.sessions.get(run.session_id, owner=owner())
        except SessionNotFound:
            raise RunNotFound() from None  # somebody else's: as if it were not there
        return run

    def _visible(session_id: str, what: str) -> None:
        with error_prefix(what):
            store.sessions.get(session_id, owner=owner())

    return routes
