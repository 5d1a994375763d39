"""What a run reads of its session, in as few looks as can be. Each method is one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Text, bindparam, cast, exists, literal_column, select, union_all

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.queued_message import QUEUE_KINDS
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import SessionNotFound
from app.store.bulk_parameters import among, listed
from app.store.columns import one_of
from app.store.decoded_rows import DecodedRows
from app.store.engine import Database
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.row_mapping import MESSAGE_COLUMNS, Row, load_optional, session_of
from app.store.tables import (
    messages,
    prompts,
    queued_messages,
    sessions,
    tool_states,
)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a run begins with. The prompt is the newest of the agent that was asked for, if it has one; `waiting` says
    that there is something in the session's queue."""

    decoded: DecodedRows
    tool_states: Mapping[str, Any]
    prompt: FrozenPrompt | None
    waiting: bool

    @property
    def messages(self) -> Sequence[Message]:
        return self.decoded.messages


@dataclass(frozen=True, slots=True)
class Look:
    """A session at a safe point, with what was toggled meanwhile; and whether messages wait for its run."""

    session: Session
    steers: bool
    followups: bool

    @property
    def waiting(self) -> bool:
        """Is there something for the run: messages, or a pause?"""
        return self.steers or self.followups or self.session.choices.pause


class RunReads:
    def __init__(self, database: Database) -> None:
        self._database = database

    def opening(self, session_id: str, agent: str, known: DecodedRows | None = None) -> Opening:
        """`agent` is its name in its team. `known` are rows of that session, of any moment: what has not changed since
        is not decoded again."""
        with self._database.glance() as connection:
            rows = _OPENING.plain(connection, {"session_id": session_id, "of_agent": agent})
        first = next((number for number, row in enumerate(rows) if row[-1] >= 0), len(rows))
        states, prompt, waiting = {}, None, False
        for row in rows[:first]:
            if row[-1] == _STATE:
                states[row[_AGENT]] = orjson.loads(row[_CONTENT])
            elif row[-1] == _WAITING:
                waiting = True
            else:
                kept = dict(zip(MESSAGE_COLUMNS, row, strict=True))
                prompt = _prompt(*(kept[place] for place in _PROMPT_PLACES))
        return Opening((known or DecodedRows()).renewed(rows[first:]), states, prompt, waiting)

    def look(self, session_id: str) -> Look:
        """SessionNotFound."""
        with self._database.glance() as connection:
            row = looking(session_id).do(connection)
        if row is None:
            raise SessionNotFound()
        return look_of(row)

    def prompt(self, session_id: str, agent: str, definitions: Sequence[str]) -> FrozenPrompt | None:
        """The prompt that this session froze for an agent of the first of these definitions; or the one of the last
        that it has, if it has the first."""
        key = {"session_id": session_id, "agent": agent, "those": listed(definitions)}
        with self._database.glance() as connection:
            found = {
                prompt.definition: prompt for row in _FROZEN.all(connection, key) if (prompt := _prompt(*row))
            }
        if definitions[0] not in found:
            return None
        return next(found[one] for one in reversed(definitions) if one in found)

    def newest_prompt(self, session_id: str, agent: str) -> FrozenPrompt | None:
        """The prompt that this session froze last for an agent of that name."""
        key = {"session_id": session_id, "agent": agent}
        with self._database.glance() as connection:
            row = _NEWEST_FROZEN.first(connection, key)
        return None if row is None else _prompt(*row)


def looking(session_id: str) -> Write:
    """The look as the last part of a transaction that writes: `look_of` what it returns."""
    return Write(_LOOK, [{"session_id": session_id}], "row")


def look_of(row: Row) -> Look:
    return Look(session_of(row), bool(row.steers), bool(row.followups))


def _prompt(*values: Any) -> FrozenPrompt:
    """From the values of `_PROMPT_COLUMNS`."""
    digest, agent, definition, model, system, tools, definitions = values
    return FrozenPrompt(digest, agent, definition, model, system, tools, load_optional(definitions))


_PROMPT_COLUMNS: Final = (
    "digest",
    "agent",
    "definition",
    "model",
    "system_json",
    "tools_json",
    "definitions_json",
)
_FROZEN: Final = Prepared(
    select(*(prompts.c[name] for name in _PROMPT_COLUMNS))
    .where(
        prompts.c.session_id == bindparam("session_id"),
        prompts.c.agent == bindparam("agent"),
        among(prompts.c.definition, "those"),
    )
    .order_by(prompts.c.created_at)
)

_NEWEST_FROZEN: Final = Prepared(
    select(*(prompts.c[name] for name in _PROMPT_COLUMNS))
    .where(prompts.c.session_id == bindparam("session_id"), prompts.c.agent == bindparam("agent"))
    .order_by(prompts.c.created_at.desc())
    .limit(1)
)

_CONTENT: Final = MESSAGE_COLUMNS.index("content_json")
_AGENT: Final = MESSAGE_COLUMNS.index("agent")
_STATE, _PROMPT, _WAITING = -3, -2, -1
"""The positions of what is no message: before them all."""

_PROMPT_PLACES: Final = ("prompt", "agent", "partial", "model", "usage_json", "content_json", "stop_reason")
"""The columns of messages in which a prompt's stand, in the order of `_PROMPT_COLUMNS`."""


def _as_message(position: int, texts: Mapping[str, Any]) -> list[Any]:
    """A row beside messages, that has their columns."""
    places = {
        "created_at": cast(literal_column("0"), messages.c.created_at.type),
        "implicit": literal_column("false", messages.c.implicit.type),
        "cost": cast(literal_column("0"), messages.c.cost.type),
        "position": literal_column(str(position), messages.c.position.type),
    }
    empty = literal_column("''", Text)
    columns = {**dict.fromkeys(MESSAGE_COLUMNS, empty), **places, **texts}
    return [column.label(name) for name, column in columns.items()]


_newest_prompt: Final = (
    select(prompts)
    .where(prompts.c.session_id == bindparam("session_id"), prompts.c.agent == bindparam("of_agent"))
    .order_by(prompts.c.created_at.desc())
    .limit(1)
    .subquery("newest")
)
_asides: Final = (
    select(
        *_as_message(
            _PROMPT,
            {
                place: _newest_prompt.c[name]
                for place, name in zip(_PROMPT_PLACES, _PROMPT_COLUMNS, strict=True)
            },
        )
    ),
    select(*_as_message(_WAITING, {})).where(
        exists().where(
            queued_messages.c.session_id == bindparam("session_id"),
            queued_messages.c.taken_by.is_(None),
            one_of(queued_messages.c.kind, QUEUE_KINDS),
        )
    ),
    select(
        *_as_message(_STATE, {"agent": tool_states.c.key, "content_json": tool_states.c.state_json})
    ).where(tool_states.c.session_id == bindparam("session_id")),
)
_told: Final = select(*(messages.c[name] for name in MESSAGE_COLUMNS)).where(
    messages.c.session_id == bindparam("session_id")
)
_OPENING: Final = Prepared(union_all(_told, *_asides).order_by("position"))


def _wait(kind: str) -> Any:
    """Does a message of that kind wait for the session's run?"""
    return exists().where(
        queued_messages.c.session_id == sessions.c.id,
        queued_messages.c.taken_by.is_(None),
        queued_messages.c.kind == literal_column(f"'{kind}'", Text),
    )


_LOOK: Final = Prepared(
    select(sessions, _wait("steer").label("steers"), _wait("followup").label("followups")).where(
        sessions.c.id == bindparam("session_id")
    )
)
