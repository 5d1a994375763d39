"""What happened in a run, step by step: from what is stored for good, and from its events as far as they are kept.

Times are the database's. How long a model call took, and when its first piece came, only events tell; without them a
call is taken to begin where the step before it ended, and is marked `estimated`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from app import sse_format
from app.conversation.call_events import PartialToolCall
from app.conversation.event_facts import EventFact, is_marked, mark_of
from app.conversation.events import (
    AgentChoice,
    AgentChoiceReasoning,
    Error,
    ModelFallback,
    RuntimePaused,
    TokenUsage,
    UserMessage,
    Warning,
)
from app.conversation.hook_events import HookBlocked, HookFinished
from app.conversation.run import OPEN_CALL, Run
from app.conversation.summary import Summary
from app.store.event_segments import Segment
from app.store.store import Store
from app.store.timeline_store import RunParts, TimedCall, Turn

MOST_BYTES: Final = 8_000_000
"""Of a run's events, which are looked through for one timeline."""

StepKind = Literal["model", "tool", "compaction", "event"]
Kept = Literal["all", "some", "none"]
"""How much of a run's events is left: all, fewer than there were, or none."""

_TOLD: Final = {
    kind.type: mark_of(kind.type)
    for kind in (ModelFallback, HookBlocked, HookFinished, Warning, Error, RuntimePaused, UserMessage)
}
"""Events that are steps of their own: nothing else tells of them."""
_PIECES: Final = tuple(mark_of(kind.type) for kind in (AgentChoice, AgentChoiceReasoning, PartialToolCall))
_TIMING: Final = mark_of(TokenUsage.type)


@dataclass(frozen=True, slots=True)
class Step:
    """`began_at` and `ended_at` are None for what has not begun or ended. Of a tool call, `made_at` is when the model
    had made it. `told` are the fields of an event."""

    kind: StepKind
    session_id: str
    began_at: float | None
    ended_at: float | None = None
    turn: Turn | None = None
    call: TimedCall | None = None
    summary: Summary | None = None
    made_at: float | None = None
    first_seconds: float | None = None
    retries: int = 0
    estimated: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        if self.began_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.began_at)

    @property
    def waited(self) -> float | None:
        """Seconds for which a call that was asked about, or stood behind others, had not begun."""
        if self.made_at is None or self.began_at is None:
            return None
        return max(0.0, self.began_at - self.made_at)

    @property
    def place(self) -> float:
        """Where it stands among the others."""
        return next((at for at in (self.began_at, self.made_at, self.ended_at) if at is not None), 0.0)


@dataclass(frozen=True, slots=True)
class Timeline:
    run: Run
    steps: Sequence[Step]
    events: Kept


@dataclass
class _Told:
    """What a run's events tell that rows don't."""

    timings: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # by message
    steps: list[Step] = field(default_factory=list)
    kept: Kept = "none"


class Timelines:
    """Reads; any thread may call it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, run: Run) -> Timeline:
        """StoreUnavailable."""
        parts, told = self._store.timelines.parts(run), self._events(run)
        steps = [*_model_steps(run, parts, told), *_call_steps(parts), *_summary_steps(parts), *told.steps]
        return Timeline(run, sorted(steps, key=lambda step: step.place), told.kept)

    def _events(self, run: Run) -> _Told:
        told, after, size, first = _Told(), run.first_event - 1, 0, 0
        last = run.last_event
        while size < MOST_BYTES and (last is None or after < last):
            segments = self._store.events.read(run.session_id, after)
            for segment in segments:
                after = segment.last
                if segment.run_id == run.id:
                    first = first or segment.first
                    size += len(segment.facts)
                    _look_through(segment, told)
            if not segments:
                break
        if first:
            whole = first <= run.first_event and size < MOST_BYTES and (last is None or after >= last)
            told.kept = "all" if whole else "some"
        return told


def _look_through(segment: Segment, told: _Told) -> None:
    for fact in sse_format.split(segment.facts):
        if any(is_marked(fact, mark) for mark in _PIECES):
            continue  # most are
        if is_marked(fact, _TIMING):
            timing = EventFact.read(fact).fields.get("timing")
            if isinstance(timing, Mapping):
                told.timings[str(timing.get("message_id"))] = timing
        elif any(is_marked(fact, mark) for mark in _TOLD.values()):
            fields = EventFact.read(fact).fields
            session_id = str(fields.get("session_id") or segment.session_id)
            told.steps.append(Step("event", session_id, _moment(fields), _moment(fields), told=fields))


def _moment(fields: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(fields.get("timestamp"))).timestamp()
    except ValueError:
        return None


def _model_steps(run: Run, parts: RunParts, told: _Told) -> Iterator[Step]:
    ends = sorted(
        [turn.ended_at for turn in parts.turns]
        + [one.ended_at for one in parts.calls if one.ended_at is not None]
        + [summary.created_at for _, summary in parts.summaries]
    )
    for turn in parts.turns:
        step = Step("model", turn.session_id, None, turn.ended_at, turn=turn)
        timing = told.timings.get(turn.message_id)
        if timing is None:
            place = bisect_left(ends, turn.ended_at)
            yield replace(step, began_at=ends[place - 1] if place else run.started_at, estimated=True)
            continue
        yield replace(
            step,
            began_at=turn.ended_at - float(timing["seconds"]),
            first_seconds=float(timing["first_seconds"]),
            retries=int(timing["retries"]),
        )


def _call_steps(parts: RunParts) -> Iterator[Step]:
    """A call waits behind those of its turn that were made before it; that is no waiting for a person."""
    made = {(turn.session_id, turn.position): turn.ended_at for turn in parts.turns}
    ended: dict[tuple[str, int], float] = {}
    for one in _in_order(parts.calls):
        place = (one.session_id, one.position)
        since = max(filter(None, (made.get(place), ended.get(place))), default=None)
        open_end = None if one.call.state in OPEN_CALL else one.ended_at
        yield Step("tool", one.session_id, one.started_at, open_end, call=one, made_at=since)
        if one.ended_at is not None and one.call.decision:
            ended[place] = one.ended_at


def _in_order(calls: Iterable[TimedCall]) -> list[TimedCall]:
    return sorted(
        calls, key=lambda one: (one.session_id, one.position, one.started_at or one.ended_at or 0.0)
    )


def _summary_steps(parts: RunParts) -> Iterator[Step]:
    for session_id, summary in parts.summaries:
        if summary.text:
            yield Step("compaction", session_id, summary.created_at, summary.created_at, summary=summary)
