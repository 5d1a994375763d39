"""Runs as JSON."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, cast

from typing_extensions import TypedDict

from app.conversation.run import COMPACTION, RETRIES, WAITING, Question, Run, RunStatus
from app.web.response_json import Json, Time, time_text, without_empty


class PreviewJson(TypedDict):
    """What the call would do to a file. `diff` has the hunks of a unified diff, of which so many lines were `left_out`;
    `problem` says why there is none, and may say that the call would fail."""

    path: str
    change: Literal["create", "change", "none", "unknown"]
    diff: str
    left_out: int
    problem: str


class QuestionJson(TypedDict):
    """The question that a run waits on, with the fields of an approval, a form or a limit; or a pause. A call that
    writes a file has its `preview` where one session is shown, or one run."""

    kind: Literal["approval", "elicitation", "max_iterations", "pause"]
    call_id: NotRequired[str]
    tool: NotRequired[str]
    arguments: NotRequired[Json]
    agent: NotRequired[str]
    message: NotRequired[str]
    schema: NotRequired[Any]
    limit: NotRequired[int]
    preview: NotRequired[PreviewJson]


class RunJson(TypedDict):
    """`code` and `error` say why it ended badly; `stopped_by` who stopped it. `retries`: the run that first failed to
    answer what this one answers. `compacts`: it does nothing else. `paused`: it waits before
    its next model call."""

    id: str
    session_id: str
    agent: str
    started_by: NotRequired[str]
    retries: NotRequired[str]
    compacts: NotRequired[bool]
    paused: NotRequired[bool]
    status: RunStatus
    started_at: Time
    ended_at: NotRequired[Time | None]
    waiting_for: NotRequired[QuestionJson | None]
    holder: str
    host: str
    pid: int
    lease_expires_at: NotRequired[Time | None]
    code: NotRequired[str]
    error: NotRequired[str]
    stopped_by: NotRequired[str]


class RunInViewJson(RunJson):
    """`phase`: its activity at this moment, if it is at work."""

    phase: NotRequired[Literal["model", "tool", "waiting"]]
    tool: NotRequired[str]


class RunAnswerJson(TypedDict):
    run: RunJson


def run_in_view(run: Run, tool: str | None, *, whole: bool = False) -> RunInViewJson:
    """A run, and what it does at this moment: `tool` is the one that it is inside of."""
    if not run.live:
        return cast("RunInViewJson", run_payload(run))
    waits = run.status in WAITING
    body: RunInViewJson = {
        **run_payload(run, whole=whole),
        "phase": "waiting" if waits else "tool" if tool else "model",
        "tool": "" if waits else tool or "",
    }
    return without_empty(RunInViewJson, body)


def run_payload(run: Run, *, whole: bool = False) -> RunJson:
    """`whole`: with what is long of its question."""
    body: RunJson = {
        "id": run.id,
        "session_id": run.session_id,
        "agent": run.agent,
        "started_by": run.options.get("started_by", ""),
        "retries": run.options.get(RETRIES, ""),
        "compacts": COMPACTION in run.options,
        "paused": run.is_paused,
        "status": run.status,
        "started_at": time_text(run.started_at, whole=False),
        "ended_at": time_text(run.ended_at, whole=False) if run.ended_at else None,
        "waiting_for": question_payload(run.waiting_for, whole=whole) if run.waiting_for else None,
        "holder": str(run.owner),
        "host": run.owner.host,
        "pid": run.owner.pid,
        "lease_expires_at": time_text(run.lease_expires_at, whole=False) if run.live else None,
        "code": run.code,
        "error": run.error,
        "stopped_by": run.stopped_by,
    }
    return without_empty(RunJson, body)


def question_payload(question: Question, *, whole: bool) -> QuestionJson:
    body: QuestionJson = {
        "kind": question.kind,
        "call_id": question.call_id,
        "tool": question.name,
    }
    details = {
        name: value for name, value in question.details.items() if name not in ("definition", "preview")
    }
    if whole and (preview := question.details.get("preview")):
        details["preview"] = {name: preview.get(name) for name in PreviewJson.__annotations__}
    return {**without_empty(QuestionJson, body), **cast("QuestionJson", details)}
