"""Routes that show what happened in a run: its steps, and its events as they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NotRequired, cast

from flask import Response
from typing_extensions import TypedDict

from app import errors, sse_format
from app.conversation.event_facts import EventFact
from app.conversation.run import Run, RunStatus
from app.conversation.usage import Usage
from app.runtime.run_timeline import Kept, Step, Timeline, Timelines
from app.store.store import Store
from app.web.own_run import own_run
from app.web.query_parameters import PRETTY, Matching
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import Time, json_response, time_text, without_empty

DEFAULT_EVENTS: Final = 200
MOST_EVENTS: Final = 1000
MOST_BYTES: Final = 2_000_000

AFTER: Final = Matching(
    "after",
    "Only events after this number.",
    "[0-9]{0,18}",
    "after, the number of an event, is a whole number",
)
LIMIT: Final = Matching(
    "limit",
    f"How many events at most: {DEFAULT_EVENTS} unless said, and never more than {MOST_EVENTS}.",
    "[0-9]{0,18}",
    "limit is a whole number",
)


class StepJson(TypedDict):
    """A model call has its `model`, its `message_id`, its tokens and its cost; a tool call its `tool`, its `call_id`,
    its `state`, and `waited`, how long it had not begun; an event is in `event`. `seconds` and `began_at` of a model
    call are `estimated` where no event tells them. `cache_share` is the part of what the model read that came from its
    cache."""

    kind: Literal["model", "tool", "compaction", "event"]
    session_id: str
    agent: NotRequired[str]
    began_at: NotRequired[Time | None]
    ended_at: NotRequired[Time | None]
    seconds: NotRequired[float | None]
    estimated: NotRequired[bool]
    model: NotRequired[str]
    message_id: NotRequired[str]
    position: NotRequired[int]
    first_seconds: NotRequired[float | None]
    retries: NotRequired[int]
    stop_reason: NotRequired[str]
    cut: NotRequired[str]
    input_tokens: NotRequired[int]
    output_tokens: NotRequired[int]
    cached_input_tokens: NotRequired[int]
    cached_write_tokens: NotRequired[int]
    cache_share: NotRequired[float]
    cost: NotRequired[float]
    tool: NotRequired[str]
    call_id: NotRequired[str]
    state: NotRequired[str]
    waited: NotRequired[float | None]
    decision: NotRequired[str]
    decided_by: NotRequired[str]
    reason: NotRequired[str]
    event: NotRequired[Any]


class TokensJson(TypedDict):
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cached_write_tokens: int
    cache_share: float


class TotalsJson(TokensJson):
    """Of the run with the tasks within it. Calls that were made at the same time count for each of them."""

    model_calls: int
    model_seconds: float
    tool_calls: int
    tool_seconds: float
    cost: float


class TimelineJson(TypedDict):
    """`events`: how much of the run's events is left, from which times within model calls, hooks, fallbacks and
    warnings are known."""

    run_id: str
    session_id: str
    status: RunStatus
    started_at: Time
    ended_at: Time | None
    events: Kept
    totals: TotalsJson
    steps: list[StepJson]


class RawEventJson(TypedDict):
    number: int
    event: Any


class RawEventsJson(TypedDict):
    """`next` is what `after` has to be to go on; null if there is nothing more at present."""

    events: list[RawEventJson]
    next: int | None


class RunTimelineResource(Resource):
    """Shows runs from inside to those who may see their sessions."""

    name = "run_timeline"
    prefix = "/api/runs/<session:run_id>"

    def __init__(self, store: Store, timelines: Timelines) -> None:
        self._store = store
        self._timelines = timelines

    @get(
        "/timeline",
        "Shows what happened in a run, step by step",
        answers={200: ResponseSpec("As of now.", TimelineJson)},
        refusals=(errors.RunNotFound,),
    )
    def timeline(self, run_id: str) -> Response:
        return json_response(_timeline(self._timelines.of(own_run(self._store, run_id))))

    @get(
        "/events",
        "Shows a run's events as they are kept",
        parameters=(PRETTY, AFTER, LIMIT),
        answers={200: ResponseSpec("A page of them.", RawEventsJson)},
        refusals=(errors.RunNotFound, errors.InvalidRequest),
    )
    def events(self, run_id: str) -> Response:
        """Pieces of an answer are one event a while after the run's end."""
        after = int(AFTER.read() or 0)
        limit = min(int(LIMIT.read() or 0) or DEFAULT_EVENTS, MOST_EVENTS)
        run = own_run(self._store, run_id)
        return json_response(self._page(run, max(after, run.first_event - 1), limit))

    def _page(self, run: Run, after: int, limit: int) -> RawEventsJson:
        found: list[RawEventJson] = []
        size = 0
        while run.last_event is None or after < run.last_event:
            segments = self._store.events.read(run.session_id, after)
            if not segments:
                break
            for segment in segments:
                for fact in sse_format.split(segment.facts) if segment.run_id == run.id else ():
                    read = EventFact.read(fact)
                    if read.number is None or read.number <= after:
                        continue
                    size += len(fact)
                    found.append({"number": read.number, "event": read.fields})
                    if len(found) >= limit or size >= MOST_BYTES:
                        return {"events": found, "next": read.number}
                after = max(after, segment.last)
        return {"events": found, "next": None}


def _timeline(timeline: Timeline) -> TimelineJson:
    run = timeline.run
    return {
        "run_id": run.id,
        "session_id": run.session_id,
        "status": run.status,
        "started_at": time_text(run.started_at, whole=False),
        "ended_at": _time(run.ended_at),
        "events": timeline.events,
        "totals": _totals(timeline.steps),
        "steps": [_step(step) for step in timeline.steps],
    }


def _totals(steps: Sequence[Step]) -> TotalsJson:
    turns = [step for step in steps if step.turn is not None]
    calls = [step for step in steps if step.call is not None]
    spent = [one for step in steps if (one := step.turn or step.summary) is not None]
    usages = [one.usage for one in spent if one.usage is not None]
    usage = Usage(
        sum(one.input_tokens for one in usages),
        sum(one.output_tokens for one in usages),
        sum(one.cache_read_tokens for one in usages),
        sum(one.cache_write_tokens for one in usages),
    )
    return {
        "model_calls": len(turns),
        "model_seconds": round(sum(step.seconds or 0.0 for step in turns), 3),
        "tool_calls": len(calls),
        "tool_seconds": round(sum(step.seconds or 0.0 for step in calls), 3),
        **_tokens(usage),
        "cost": sum(one.cost for one in spent),
    }


def _tokens(usage: Usage) -> TokensJson:
    read = usage.prompt_tokens
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cache_read_tokens,
        "cached_write_tokens": usage.cache_write_tokens,
        "cache_share": round(usage.cache_read_tokens / read, 4) if read else 0.0,
    }


def _step(step: Step) -> StepJson:
    body: StepJson = {
        "kind": step.kind,
        "session_id": step.session_id,
        "began_at": _time(step.began_at),
        "ended_at": _time(step.ended_at),
        "seconds": _rounded(step.seconds),
        "estimated": step.estimated,
    }
    if step.turn is not None:
        turn = step.turn
        body |= {
            "agent": turn.agent,
            "model": turn.model,
            "message_id": turn.message_id,
            "position": turn.position,
            "first_seconds": step.first_seconds,
            "retries": step.retries,
            "stop_reason": turn.stop_reason,
            "cut": turn.partial,
            "cost": turn.cost,
        }
        body |= cast("StepJson", _tokens(turn.usage or Usage()))
    if step.call is not None:
        call = step.call.call
        body |= {
            "tool": call.name,
            "call_id": call.id,
            "position": step.call.position,
            "state": call.state,
            "waited": _rounded(step.waited),
            "decision": call.decision,
            "decided_by": call.decided_by,
            "reason": call.reason,
        }
    if step.summary is not None:
        summary = step.summary
        body |= {"agent": summary.agent, "model": summary.model, "cost": summary.cost}
        body |= cast("StepJson", _tokens(summary.usage or Usage()))
    if step.told:
        body["event"] = step.told
    return without_empty(StepJson, body)


def _time(at: float | None) -> str | None:
    return None if at is None else time_text(at, whole=False)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
