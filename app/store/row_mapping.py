"""Between rows and values."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Sequence
from dataclasses import asdict, fields
from functools import cache
from typing import Any, Final, TypeVar, cast, get_args

import orjson

from app.conversation.run import AT_SAFE_POINT, LIVE, Answer, CallState, Owner, Question, Run, ToolCall
from app.conversation.safety import policy_named
from app.conversation.session import Choices, Session
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.conversation.usage import Usage

T = TypeVar("T")
Row = Any  # of a prepared statement, or one of SQLAlchemy's: its columns are attributes

_CALL_STATES: Final = frozenset(get_args(CallState))


def dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def dump_optional(value: Any) -> str | None:
    return None if value is None else dump(value)


def load_optional(value: str | None) -> Any:
    return None if value is None else orjson.loads(value)


def value_of(kind: type[T], text: str | None) -> T | None:
    """A dataclass from its JSON, as any version of this program has written it. A field that this version doesn't
    know is ignored: during a rolling upgrade a newer process writes rows that an older one reads."""
    if text is None:
        return None
    given, known = orjson.loads(text), _fields(cast("Hashable", kind))
    if not given.keys() <= known:
        given = {name: value for name, value in given.items() if name in known}
    return kind(**given)


@cache
def _fields(kind: Hashable) -> frozenset[str]:
    return frozenset(field.name for field in fields(cast("Any", kind)))


_TRANSLATED: Final = frozenset({"permissions", "chosen_policy", "choices"})
_PLAIN: Final = tuple(name for name in Session.__dataclass_fields__ if name not in _TRANSLATED)


def session_row(session: Session) -> dict[str, Any]:
    """With the `given_time` of a statement whose `created_at` is MOMENT."""
    row = {name: getattr(session, name) for name in _PLAIN}
    more = {"given_time": row.pop("created_at"), "next_event": 1}
    return {
        **row,
        **more,
        "permissions_json": dump_optional(session.permissions),
        "safety_policy": session.chosen_policy or None,
        "choices_json": choices_json(session.choices),
    }


def session_of(row: Row) -> Session:
    return Session(
        **{name: getattr(row, name) for name in _PLAIN},
        permissions=load_optional(row.permissions_json),
        chosen_policy=policy_named(row.safety_policy or ""),
        choices=choices_of(row),
    )


def choices_json(choices: Choices) -> str | None:
    return dump(asdict(choices)) if choices != Choices() else None


def choices_of(row: Row) -> Choices:
    """The choices in a session's row; an older process writes none."""
    return value_of(Choices, row.choices_json) or Choices()


def message_row(message: Message, session_id: str, position: int, run_id: str | None) -> dict[str, Any]:
    """With the `given_time` of a statement whose `created_at` is MOMENT."""
    return {
        "session_id": session_id,
        "position": position,
        "role": message.role,
        "content_json": dump(message.content),
        "agent": message.agent,
        "prompt": message.prompt,
        "given_time": message.created_at,
        "implicit": message.implicit,
        "partial": message.partial,
        "stop_reason": message.stop_reason,
        "usage_json": dump_optional(asdict(message.usage) if message.usage else None),
        "model": message.model,
        "cost": message.cost,
        "run_id": run_id,
        "message_id": message.id or uuid.uuid4().hex,
    }


MESSAGE_COLUMNS: Final = (
    "role",
    "content_json",
    "agent",
    "prompt",
    "created_at",
    "implicit",
    "partial",
    "stop_reason",
    "usage_json",
    "model",
    "cost",
    "message_id",
    "position",
)
"""In the order in which `message_of` reads them; a history is the longest thing that is read, so by place."""


def message_of(row: Sequence[Any]) -> Message:
    (
        role,
        content,
        agent,
        prompt,
        created_at,
        implicit,
        partial,
        stop_reason,
        usage,
        model,
        cost,
        message_id,
        position,
    ) = row
    return Message(
        role,
        tuple(orjson.loads(content)),
        agent,
        prompt,
        created_at,
        bool(implicit),
        partial,
        stop_reason,
        value_of(Usage, usage),
        model,
        cost,
        position,
        id=message_id or "",
    )


def summary_row(summary: Summary, session_id: str, run_id: str | None) -> dict[str, Any]:
    row = {name: getattr(summary, name) for name in Summary.__dataclass_fields__}
    text, usage = row.pop("text"), row.pop("usage")
    used = dump_optional(asdict(usage) if usage else None)
    more = {"summary": text, "usage_json": used}
    return {**row, **more, "session_id": session_id, "run_id": run_id}


def summary_of(row: Row) -> Summary:
    names = set(Summary.__dataclass_fields__) - {"text", "usage"}
    return Summary(
        **{name: getattr(row, name) for name in names},
        text=row.summary,
        usage=value_of(Usage, row.usage_json),
    )


def owner_row(owner: Owner) -> dict[str, Any]:
    return {
        "owner_host": owner.host,
        "owner_boot": owner.boot,
        "owner_pid": owner.pid,
        "owner_started": owner.started,
    }


def owner_of(row: Row) -> Owner:
    return Owner(row.owner_host, row.owner_boot, row.owner_pid, row.owner_started)


def run_of(row: Row) -> Run:
    answer, stop = answer_of(row.answer_json), row.stop_requested or ""
    told_to_end = bool(stop and not stop.startswith(AT_SAFE_POINT)) or (
        answer is not None and answer.ends_run
    )
    return Run(
        id=row.id,
        session_id=row.session_id,
        agent=row.agent,
        status=row.status,
        epoch=row.epoch,
        writes=row.writes,
        started_at=row.started_at,
        owner=owner_of(row),
        lease_expires_at=row.lease_expires_at,
        ended_at=row.ended_at,
        waiting_for=value_of(Question, row.waiting_for_json),
        error=row.error,
        stopped_by=stop,
        is_stopping=told_to_end and row.status in LIVE,
        code=row.code,
        first_event=row.first_event,
        last_event=row.last_event,
        options=orjson.loads(row.options_json),
        worked_seconds=row.worked_seconds or 0.0,
    )


def answer_of(value: str | None) -> Answer | None:
    return value_of(Answer, value)


def call_of(row: Row) -> ToolCall:
    """A state that this version doesn't know counts as `running`: whether the call took effect is not known here, so
    it must not be made again."""
    return ToolCall(
        id=row.id,
        run_id=row.run_id,
        name=row.name,
        arguments=orjson.loads(row.arguments_json),
        state=row.state if row.state in _CALL_STATES else "running",
        decision=row.decision,
        decided_by=row.decided_by,
        reason=row.reason,
        broken=bool(row.broken),
    )
