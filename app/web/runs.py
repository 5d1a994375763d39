"""Routes of runs: start one, answer it, stop it, follow it."""

from __future__ import annotations

import time
from typing import get_args

from flask import Blueprint, Response, request

from app.conversation.run import LIVE, Answer, RunStatus
from app.errors import InvalidRequest, RunNotFound, SessionNotFound
from app.runtime.hangups import HangupWatcher
from app.runtime.manager import RuntimeManager
from app.store.store import Store
from app.web.access import asker, owner
from app.web.bodies import CancelRun, Elicit, Resume, read, read_messages
from app.web.payloads import json_response, run_payload
from app.web.sse import stream
from app.web.wording import attempt

MAX_CANCEL_WAIT = 60.0


def blueprint(
    store: Store, manager: RuntimeManager, hangups: HangupWatcher, *, on_disconnect: str
) -> Blueprint:
    routes = Blueprint("runs", __name__, url_prefix="/api")

    @routes.post("/sessions/<session:session_id>/agent/<key>", defaults={"name": None})
    @routes.post("/sessions/<session:session_id>/agent/<key>/<path:name>")
    def run(session_id: str, key: str, name: str | None) -> Response:
        after_hangup = _choice("on_disconnect", ("cancel", "continue"), on_disconnect)
        messages = read_messages(time.time())
        with attempt("run session"):
            live = manager.start(session_id, key=key, name=name, messages=messages, visible_to=owner())

        def left() -> None:
            if after_hangup == "cancel":
                manager.stop(live, "client left")

        return stream(manager.read_run(live), hangups, on_hangup=left)

    @routes.get("/sessions/<session:session_id>/events")
    def events(session_id: str) -> Response:
        store.sessions.get(session_id, owner=owner())
        return stream(manager.read_session(session_id, _cursor()), hangups)

    @routes.post("/sessions/<session:session_id>/resume")
    def resume(session_id: str) -> Response:
        body = read(Resume)
        _visible(session_id, "resume session")
        answer = body.answer(asker())
        _answer(session_id, answer, ("approval", "max_iterations"), body.call_id)
        return json_response({"message": "session resumed"})

    @routes.post("/sessions/<session:session_id>/elicitation")
    def elicitation(session_id: str) -> Response:
        body = read(Elicit)
        _visible(session_id, "resume elicitation")
        _answer(session_id, body.answer(asker()), ("elicitation",), body.call_id)
        return json_response(None)

    def _answer(session_id: str, answer: Answer, kinds: tuple[str, ...], call_id: str | None) -> None:
        manager.answer(session_id, answer, kinds=kinds, call_id=call_id or "")

    @routes.post("/sessions/<session:session_id>/cancel")
    def cancel(session_id: str) -> Response:
        body = read(CancelRun)
        _visible(session_id, "cancel run")
        wait = min(_seconds("wait"), MAX_CANCEL_WAIT)
        stopped = manager.cancel(session_id, by=asker(), run_id=body.run_id, wait=wait)
        return json_response({"run": run_payload(stopped)}, 202 if stopped.status in LIVE else 200)

    @routes.get("/runs")
    def runs() -> Response:
        found = store.runs.recent(status=_statuses(), owner=owner())
        return json_response([run_payload(run) for run in found])

    @routes.get("/runs/<session:run_id>")
    def one(run_id: str) -> Response:
        run = store.runs.get(run_id)
        try:
            store.sessions.get(run.session_id, owner=owner())
        except SessionNotFound:
            raise RunNotFound() from None  # somebody else's: as if it were not there
        return json_response(run_payload(run))

    def _visible(session_id: str, what: str) -> None:
        with attempt(what):
            store.sessions.get(session_id, owner=owner())

    return routes


def _choice(name: str, words: tuple[str, ...], default: str) -> str:
    value = request.args.get(name, default)
    if value not in words:
        raise InvalidRequest(f"{name} must be one of {', '.join(words)}", status=422)
    return value


def _statuses() -> list[str]:
    known = get_args(RunStatus)
    wanted = [word.strip() for word in request.args.get("status", "").split(",") if word.strip()]
    if not set(wanted) <= set(known):
        raise InvalidRequest(f"status is a list, separated by commas, of {', '.join(known)}", status=422)
    return wanted


def _cursor() -> int | None:
    """The number of the last event that the reader has seen, from the header or from `since`."""
    text = request.headers.get("Last-Event-ID") or request.args.get("since")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidRequest("an event number is a whole number", status=422)
    return int(text)


def _seconds(name: str) -> float:
    """`10`, `2.5` or `10s`; 0 if the parameter is not there."""
    text = request.args.get(name, "0").removesuffix("s")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86_400:
        raise InvalidRequest(f"{name} is a number of seconds", status=422)
    return seconds
