"""Routes of runs: look at them, answer their questions, stop them, take a session away from them."""

from __future__ import annotations

from typing import Final, Literal, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.run import Answer, Run
from app.runtime.changed_arguments import ChangedArguments
from app.runtime.run_control import RunControl, StopOutcome
from app.store.store import Store
from app.web.access import own_name, owner, requester, require_visible
from app.web.own_run import own_run
from app.web.query_parameters import PRETTY, SESSION_ID, Choice, Matching, Parameter, Seconds, WordList
from app.web.request_body import read
from app.web.request_models import Json, Name, Pattern, Reason, RequestModel
from app.web.resource import DONE, NULL, Resource, ResponseSpec, get, post
from app.web.response_json import json_response
from app.web.run_json import RunAnswerJson, RunInViewJson, RunJson, run_in_view, run_payload

CANCEL_AT: Final = Choice(
    "at", "`safe_point` lets the tool calls under way finish first.", ("now", "safe_point"), "now"
)
CANCEL_WAIT: Final = Seconds("wait", "How long to wait for the run's end; at most 60 s.", most=60.0)
STATUS: Final = WordList("status", "Runs in these statuses.")
SESSION: Final = Matching("session", "Runs of this session.", SESSION_ID, "session is the id of a session")
HOLDER: Final = Parameter("holder", "Runs of this host, or of this process (`host:pid`).")
OLDER_THAN: Final = Seconds("older_than", "Runs that began at least so long ago.", most=10.0**9)


_SAME_AS: Final = {"approve-safe": "approve-balanced", "approve-safer": "approve-balanced"}


class Resume(RequestModel):
    """`call_id` is ours: it ties the decision to the call it was made for. `approve-balanced` and
    `approve-autonomous` set the session's safety policy too; `approve-safe` and `approve-safer` are older names of the
    first. `arguments` are for `approve` with a `call_id`: the call runs with them in place of its own."""

    confirmation: Literal[
        "approve",
        "approve-session",
        "approve-tool",
        "approve-balanced",
        "approve-autonomous",
        "approve-safe",
        "approve-safer",
        "reject",
    ]
    reason: Reason | None = None
    tool_name: Pattern | None = None
    call_id: Name | None = None
    arguments: Json | None = None

    def answer(self, by: str) -> Answer:
        decision = _SAME_AS.get(self.confirmation, self.confirmation)
        return Answer(decision, reason=self.reason or "", tool_name=self.tool_name or "", by=by)


class Elicit(RequestModel):
    """An `elicitation_id`, or ours, the `call_id`, ties the answer to the question that it was given for."""

    action: Literal["accept", "decline", "cancel"]
    content: Json | None = None
    call_id: Name | None = None
    elicitation_id: Name | None = None

    def answer(self, by: str) -> Answer:
        return Answer(self.action, content=self.content, by=by, question_id=self.elicitation_id or "")


class Release(RequestModel):
    reason: Reason | None = None


class CancelRun(RequestModel):
    """`turn_id`: the same as `run_id`, for whom it is no mistake if that one is not at work any more."""

    run_id: Name | None = None
    turn_id: Name | None = None


class CancelledJson(TypedDict):
    """`outcome`: it was asked to stop, it was asked before, or it is not at work. `run` is missing if a `turn_id` names
    none that could be stopped."""

    session_id: str
    turn_id: str
    outcome: StopOutcome
    run: NotRequired[RunJson]


def _cancelled(session_id: str, turn_id: str, outcome: StopOutcome, run: Run | None) -> CancelledJson:
    answer: CancelledJson = {"session_id": session_id, "turn_id": turn_id, "outcome": outcome}
    return {**answer, "run": run_payload(run)} if run is not None else answer


_NOT_ANSWERED: Final = (
    *(errors.SessionNotFound, errors.NothingToAnswer, errors.AnsweredAlready, errors.SessionBusy),
    *(errors.AgentNotFound, errors.InvalidAgentConfig, errors.MissingEnvironment),
    *(errors.ServerFull, errors.Draining),
)


class RunResource(Resource):
    """Runs at work and ended ones."""

    name = "runs"
    prefix = "/api"

    def __init__(self, store: Store, control: RunControl, changes: ChangedArguments) -> None:
        self._store = store
        self._control = control
        self._changes = changes

    @post(
        "/sessions/<session:session_id>/resume",
        "Answers a question about a tool call",
        body=Resume,
        answers={200: DONE},
        refusals=(*_NOT_ANSWERED, errors.CallDenied),
    )
    def resume(self, session_id: str) -> Response:
        body = read(Resume)
        require_visible(self._store, session_id, "resume session")
        answer = body.answer(requester())
        if body.arguments is not None:
            answer = self._changes.fit(session_id, body.call_id or "", answer, body.arguments)
        self._control.answer(
            session_id,
            answer,
            kinds=("approval", "max_iterations"),
            call_id=body.call_id or "",
            name=own_name(),
        )
        return json_response({"message": "session resumed"})

    @post(
        "/sessions/<session:session_id>/elicitation",
        "Answers a form",
        body=Elicit,
        answers={200: NULL},
        refusals=_NOT_ANSWERED,
    )
    def elicitation(self, session_id: str) -> Response:
        body = read(Elicit)
        require_visible(self._store, session_id, "resume elicitation")
        try:
            self._control.answer(
                session_id,
                body.answer(requester()),
                kinds=("elicitation",),
                call_id=body.call_id or "",
                name=own_name(),
            )
        except errors.NothingToAnswer as error:
            words = "failed to resume elicitation: no elicitation request in progress"
            raise errors.NothingToAnswer(words) from error
        return json_response(None)

    @post(
        "/sessions/<session:session_id>/cancel",
        "Stops a session's run",
        body=CancelRun,
        parameters=(PRETTY, CANCEL_AT, CANCEL_WAIT),
        answers={
            200: ResponseSpec("It has ended, or the turn that was named is asked to.", CancelledJson),
            202: ResponseSpec("Not yet.", CancelledJson),
        },
        refusals=(errors.SessionNotFound, errors.NotRunning),
    )
    def cancel(self, session_id: str) -> Response:
        body = read(CancelRun)
        gently = CANCEL_AT.read() == "safe_point"
        wait = CANCEL_WAIT.read()
        require_visible(self._store, session_id, "cancel run")
        named = body.turn_id or body.run_id
        try:
            outcome = self._control.outcome_of_stop(session_id, named)
            stopped = self._control.cancel(
                session_id, by=requester(), run_id=named, wait=wait, at_safe_point=gently
            )
        except errors.NotRunning:
            if not body.turn_id:
                raise
            return json_response(_cancelled(session_id, body.turn_id, "not_active", None))
        detail = "at=safe_point" if gently else ""
        self._store.audit.note("cancel", stopped.session_id, run_id=stopped.id, detail=detail)
        answer = _cancelled(session_id, stopped.id, outcome, stopped)
        return json_response(answer, 202 if stopped.live and not body.turn_id else 200)

    @get(
        "/runs",
        "Lists runs, newest first, at most 100",
        parameters=(PRETTY, STATUS, SESSION, HOLDER, OLDER_THAN),
        answers={200: ResponseSpec("Those that the asker may see.", list[RunInViewJson])},
        refusals=(errors.InvalidRequest,),
    )
    def runs(self) -> Response:
        """Filtered by `status`, `session`, `holder` (a host, or host:pid) and `older_than` seconds."""
        found = self._store.runs.recent(
            status=STATUS.read(),
            session_id=SESSION.read(),
            owner=owner(),
            holder=(HOLDER.given() or "").replace("\0", ""),
            older_than=OLDER_THAN.read() if OLDER_THAN.given() is not None else None,
        )
        tools = self._store.runs.calling([run.id for run in found if run.live])
        return json_response([run_in_view(run, tools.get(run.id)) for run in found])

    @get(
        "/runs/<session:run_id>",
        "Shows one run",
        answers={200: ResponseSpec("The run.", RunInViewJson)},
        refusals=(errors.RunNotFound,),
    )
    def one(self, run_id: str) -> Response:
        run = own_run(self._store, run_id)
        return json_response(run_in_view(run, self._store.runs.calling([run_id]).get(run_id), whole=True))

    @post(
        "/runs/<session:run_id>/release",
        "Takes the session away from a stuck run",
        body=Release,
        answers={200: ResponseSpec("The run as it is now.", RunAnswerJson)},
        refusals=(errors.RunNotFound, errors.NotRunning),
    )
    def release(self, run_id: str) -> Response:
        body = read(Release)
        own_run(self._store, run_id)
        released = self._control.release(run_id, by=requester(), reason=body.reason or "")
        return json_response({"run": run_payload(released)})
