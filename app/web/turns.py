"""Routes that act on a session's turns."""

from __future__ import annotations

from typing import Final, NotRequired

from flask import Response
from flask import request as http_request
from typing_extensions import TypedDict

from app import errors
from app.runtime.run_control import RunControl
from app.runtime.turn_control import TurnControl
from app.store.idempotency import KeyUsed
from app.store.store import Store
from app.web.access import own_name, owner, requester, require_visible
from app.web.error_prefix import error_prefix
from app.web.idempotent import idempotency_key
from app.web.long_poll import LongPoll
from app.web.query_parameters import IDEMPOTENCY_KEY, PRETTY, Seconds
from app.web.request_body import read, skip_body
from app.web.request_models import Reason, RequestModel
from app.web.resource import Resource, ResponseSpec, post
from app.web.response_json import json_response


class Retry(RequestModel):
    """No field is known."""


class PausedJson(TypedDict):
    """`paused`: the session's run, or its next one, waits before its next model call."""

    paused: bool


class Compact(RequestModel):
    """`additional_prompt`: more words for the model that sums the conversation up."""

    additional_prompt: Reason | None = None


TURN_WAIT: Final = Seconds("timeout", "How long to wait; at most 5 m.", most=300.0, default=300.0)


class SubmissionJson(TypedDict):
    """`turn_id` is the run's id. `disposition` is there for a turn that waits; a retry never does."""

    session_id: str
    turn_id: str
    disposition: NotRequired[str]


_NOT_STARTED: Final = (
    *(errors.SessionNotFound, errors.SessionBusy, errors.AgentNotFound, errors.InvalidAgentConfig),
    *(errors.MissingEnvironment, errors.ServerFull, errors.Draining),
    *(errors.TooManyRuns, errors.BudgetReached, errors.SessionFull),
)


class TurnResource(Resource):
    """A session's turns. A turn has the id of its run."""

    name = "turns"
    prefix = "/api/sessions/<session:session_id>"

    def __init__(self, store: Store, control: RunControl, turns: TurnControl, waits: LongPoll) -> None:
        self._store = store
        self._control = control
        self._turns = turns
        self._waits = waits

    @post(
        "/retry",
        "Takes up again the last turn, if it failed",
        body=Retry,
        parameters=(PRETTY, IDEMPOTENCY_KEY),
        answers={
            202: ResponseSpec(
                "A run is at work on it.", SubmissionJson, headers=("Location", "Idempotent-Replayed")
            )
        },
        refusals=(*_NOT_STARTED, errors.NothingToRetry, errors.IdempotencyConflict),
    )
    def retry(self, session_id: str) -> Response:
        """By the same agent, and without a new message. No tool call that has begun is made again."""
        read(Retry)
        require_visible(self._store, session_id, "retry session")
        use = idempotency_key(())
        if use is not None and (known := self._store.idempotency.outcome(use)) and known.run_id:
            return _accepted(session_id, known.run_id, replayed=True)
        try:
            with error_prefix("retry session"):
                live = self._turns.retry(
                    session_id,
                    by=requester(),
                    visible_to=owner(),
                    headers=dict(http_request.headers),
                    idempotency=use,
                )
        except (KeyUsed, errors.SessionBusy, errors.NothingToRetry):
            first = self._control.outcome(session_id, use) if use is not None else None
            if first is None or first.run_id is None:
                raise
            return _accepted(session_id, first.run_id, replayed=True)  # the same request, a moment before
        return _accepted(session_id, live.run.id)

    @post(
        "/compact",
        "Lets the model sum up the conversation now",
        body=Compact,
        parameters=(),
        answers={202: ResponseSpec("A run is at work on it.", headers=("Location", "X-Run-ID"))},
        refusals=(*_NOT_STARTED, errors.NothingToCompact),
    )
    def compact(self, session_id: str) -> Response:
        """From now on the model is shown the summary in place of older messages; these stay stored."""
        words = read(Compact).additional_prompt or ""
        require_visible(self._store, session_id, "compact session")
        with error_prefix("compact session"):
            live = self._turns.compact(
                session_id, words, by=requester(), visible_to=owner(), headers=dict(http_request.headers)
            )
        headers = {"Location": f"/api/runs/{live.run.id}", "X-Run-ID": live.run.id}
        return Response(status=202, headers=headers)

    @post(
        "/pause",
        "Pauses the session's run before its next model call, or lets it go on",
        unread_body=True,
        answers={200: ResponseSpec("It is so from now on.", PausedJson)},
        refusals=(
            *(errors.SessionNotFound, errors.SessionBusy, errors.AgentNotFound, errors.InvalidAgentConfig),
            *(errors.MissingEnvironment, errors.ServerFull, errors.Draining),
        ),
    )
    def pause(self, session_id: str) -> Response:
        """The next request takes it back. Tools that are at work finish first."""
        skip_body()
        require_visible(self._store, session_id, "pause session")
        with error_prefix("pause session"):
            paused = self._turns.toggle_pause(session_id, by=requester(), name=own_name())
        return json_response({"paused": paused})

    @post(
        "/turns/<session:turn_id>/wait",
        "Waits for a turn's end",
        unread_body=True,
        parameters=(TURN_WAIT,),
        answers={204: ResponseSpec("It has ended, and its end is stored.")},
        refusals=(
            *(errors.SessionNotFound, errors.RunNotFound, errors.InvalidRequest),
            *(errors.TurnNotEnded, errors.Draining, errors.ServerFull),
        ),
    )
    def wait(self, session_id: str, turn_id: str) -> Response:
        """In a stream's place, since it holds a thread. A client that leaves ends only its wait."""
        skip_body()
        longest = TURN_WAIT.read()
        require_visible(self._store, session_id, "wait for turn")
        if not self._waits.until(lambda: self._has_ended(session_id, turn_id), seconds=longest):
            raise errors.TurnNotEnded()
        return Response(status=204)

    def _has_ended(self, session_id: str, turn_id: str) -> bool:
        """RunNotFound for another session's turn, and for one that was deleted with its session meanwhile."""
        run = self._store.runs.get(turn_id)
        if run.session_id != session_id:
            raise errors.RunNotFound()
        return not run.live


def _accepted(session_id: str, run_id: str, *, replayed: bool = False) -> Response:
    answer: SubmissionJson = {"session_id": session_id, "turn_id": run_id}
    response = json_response(answer, 202)
    response.headers["Location"] = f"/api/runs/{run_id}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
