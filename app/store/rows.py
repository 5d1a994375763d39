"""Between rows and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, cast

import orjson
from sqlalchemy import Row

from app.conversation.compaction import Summary
from app.conversation.run import Answer, Owner, Question, Run, ToolCall
from app.conversation.session import Session
from app.conversation.transcript import Message, Usage


def dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def dump_optional(value: Any) -> str | None:
    return None if value is None else dump(value)


def load_optional(value: str | None) -> Any:
    return None if value is None else orjson.loads(value)


def session_row(session: Session) -> dict[str, Any]:
    row = {name: getattr(session, name) for name in Session.__dataclass_fields__ if name != "permissions"}
    return {**row, "permissions_json": dump_optional(session.permissions), "next_event": 1}


def session_of(row: Row[Any]) -> Session:
    values = row._mapping
    plain = {name: values[name] for name in Session.__dataclass_fields__ if name != "permissions"}
    return Session(**plain, permissions=load_optional(values["permissions_json"]))


def message_row(message: Message, session_id: str, position: int, run_id: str | None) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "position": position,
        "role": message.role,
        "content_json": dump(message.content),
        "agent": message.agent,
        "prompt": message.prompt,
        "created_at": message.created_at,
        "implicit": message.implicit,
        "partial": message.partial,
        "stop_reason": message.stop_reason,
        "usage_json": dump_optional(asdict(message.usage) if message.usage else None),
        "model": message.model,
        "cost": message.cost,
        "run_id": run_id,
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
        position,
    ) = row
    return Message(
        role,
        tuple(orjson.loads(content)),
        agent,
        prompt,
        created_at,
        implicit,
        partial,
        stop_reason,
        Usage(**orjson.loads(usage)) if usage else None,
        model,
        cost,
        position,
    )


def summary_row(summary: Summary, session_id: str, run_id: str | None) -> dict[str, Any]:
    row = {name: getattr(summary, name) for name in Summary.__dataclass_fields__}
    text, usage = row.pop("text"), row.pop("usage")
    used = dump_optional(asdict(usage) if usage else None)
    return {**row, "session_id": session_id, "summary": text, "usage_json": used, "run_id": run_id}


def summary_of(row: Row[Any]) -> Summary:
    values = row._mapping
    names = set(Summary.__dataclass_fields__) - {"text", "usage"}
    usage = load_optional(values["usage_json"])
    return Summary(
        **{name: values[name] for name in names},
        text=values["summary"],
        usage=Usage(**usage) if usage else None,
    )


def owner_row(owner: Owner) -> dict[str, Any]:
    return {
        "owner_host": owner.host,
        "owner_boot": owner.boot,
        "owner_pid": owner.pid,
        "owner_started": owner.started,
    }


def run_of(row: Row[Any]) -> Run:
    values = row._mapping
    return Run(
        id=values["id"],
        session_id=values["session_id"],
        agent=values["agent"],
        status=values["status"],
        epoch=values["epoch"],
        started_at=values["started_at"],
        owner=Owner(values["owner_host"], values["owner_boot"], values["owner_pid"], values["owner_started"]),
        lease_expires_at=values["lease_expires_at"],
        ended_at=values["ended_at"],
        waiting_for=question_of(values["waiting_for_json"]),
        error=values["error"],
        stopped_by=values["stop_requested"] or "",
        code=values["code"],
        first_event=values["first_event"],
        last_event=values["last_event"],
        options=orjson.loads(values["options_json"]),
    )


def question_of(value: str | None) -> Question | None:
    return None if value is None else Question(**orjson.loads(value))


def answer_of(value: str | None) -> Answer | None:
    return None if value is None else Answer(**orjson.loads(value))


def call_of(row: Row[Any]) -> ToolCall:
    values = cast("dict[str, Any]", row._mapping)
    return ToolCall(
        id=values["id"],
        run_id=values["run_id"],
        name=values["name"],
        arguments=orjson.loads(values["arguments_json"]),
        state=values["state"],
        decision=values["decision"],
        decided_by=values["decided_by"],
        reason=values["reason"],
    )
