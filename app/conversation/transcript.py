"""A valid conversation: the Messages API's rules of structure, as values and pure functions.

A transcript only ever grows at its end. It is held as *rows*: one per user message, assistant message and
tool result. The API has them as messages, where all results of one assistant message stand in the one user
message right after it, before anything a person wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

import orjson

from app.conversation.blocks import (
    SERVED_CALLS,
    TOOL_NAME,
    Block,
    calls,
    for_api,
    is_blank,
    is_readable_result,
    is_served_result,
    is_signed,
    is_thinking,
)
from app.conversation.usage import Usage
from app.errors import InvalidTranscript

Role = Literal["user", "assistant", "tool"]

CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+\Z")  # `$` would let a line break at the end pass


CUT: Final = frozenset({"cancelled", "failed"})
"""The `partial` of an answer that was cut."""

RETRIED: Final = "retried"
"""The `partial` of one in whose place another was asked for."""

HIDDEN: Final = frozenset({"refused", RETRIED})
"""The `partial` of a message that the model is not shown."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row of a transcript. A `tool` row holds exactly one tool_result block."""

    role: Role
    content: tuple[Block, ...]
    agent: str = ""
    prompt: str = ""  # digest of the frozen prompt under which an assistant message was made
    created_at: float = 0.0  # seconds since the epoch, by the database's clock; 0: when it is stored
    implicit: bool = False  # said by the server, not by a person
    partial: str = ""  # why an assistant message was cut; empty if it is whole
    stop_reason: str = ""
    usage: Usage | None = None
    model: str = ""
    cost: float = 0.0  # USD
    position: int = -1  # in its session, once stored
    came_as: str = field(default="", compare=False)  # steer or followup, where it came in; not stored
    id: str = field(
        default="", compare=False
    )  # which events and snapshots name; empty: stored by an older process

    @property
    def is_hidden(self) -> bool:
        """Is it stored, but not shown to the model?"""
        return self.partial in HIDDEN

    @property
    def calls(self) -> list[Block]:
        return calls(self.content)


def size_of(row: Message) -> int:
    """How many bytes the row's content has, as JSON."""
    return len(orjson.dumps(row.content))


@dataclass(frozen=True, slots=True)
class Transcript:
    """A valid sequence of rows. `open_calls` are the ids that the last assistant message still waits for;
    `unserved` are calls that the API will answer itself, when the paused turn is sent back to it."""

    rows: tuple[Message, ...] = ()
    open_calls: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    _ids: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def has_calls(self) -> bool:
        """Is there a tool call, with its result or without?"""
        return bool(self._ids)

    @classmethod
    def of(cls, rows: Iterable[Message]) -> Self:
        """Checks the rows one by one; InvalidTranscript names the first that does not fit."""
        state, kept = _State(), []
        for row in rows:
            state.add(row)
            kept.append(row)
        return cls(tuple(kept), tuple(state.open), tuple(state.unserved), frozenset(state.ids))

    def add(self, row: Message) -> Self:
        """A transcript with one more row; InvalidTranscript if the model's API would refuse it there."""
        return self.extended((row,))

    def extended(self, rows: Sequence[Message]) -> Self:
        """The same with several."""
        state = _State(begun=bool(self.rows), opened=self.open_calls, unserved=self.unserved, ids=self._ids)
        for row in rows:
            state.add(row)
        return replace(
            self,
            rows=(*self.rows, *rows),
            open_calls=tuple(state.open),
            unserved=tuple(state.unserved),
            _ids=frozenset(state.ids),
        )

    def free_ids(self, wanted: Iterable[str], *, taken: Iterable[str] = ()) -> list[str]:
        """Ids for new tool calls: each the wanted one if it is usable and free, else one made from it."""
        taken, free = {*self._ids, *taken}, []
        for one in wanted:
            free.append(_free_id(one, taken))
            taken.add(free[-1])
        return free


class _State:
    """The state against which a row is checked: whether there is one before it, the calls that wait, the ids in use."""

    def __init__(
        self,
        *,
        begun: bool = False,
        opened: Iterable[str] = (),
        unserved: Iterable[str] = (),
        ids: Iterable[str] = (),
    ) -> None:
        self.begun, self.open, self.unserved, self.ids = begun, list(opened), list(unserved), set(ids)

    def add(self, row: Message) -> None:
        for block in row.content:
            _require(isinstance(block, dict) and isinstance(block.get("type"), str), "A block has a type.")
            _require(not block["type"].endswith("_delta"), "A piece of a stream is not a block.")
        match row.role:
            case "user":
                self._user(row)
            case "tool":
                self._tool(row)
            case "assistant":
                self._assistant(row)
        self.begun = True

    def _user(self, row: Message) -> None:
        self._no_open_calls("A user message")
        _require(not self.unserved, f"A user message can't come before the results of: {self.unserved}.")
        _require(row.content, "A user message needs content.")
        for block in row.content:
            _require(not is_blank(block), "A text block must contain more than white space.")
            _require(from_users(block), f"A user can't say a {block.get('type')} block.")

    def _tool(self, row: Message) -> None:
        ids = [block.get("tool_use_id") for block in row.content]
        _require(
            len(ids) == 1 and row.content[0].get("type") == "tool_result", "A tool row holds one tool_result."
        )
        _require(ids[0] in self.open, f"No call waits for the result of {ids[0]}.")
        _require(is_readable_result(row.content[0]), f"The result of {ids[0]} can't be read.")
        self.open.remove(str(ids[0]))

    def _assistant(self, row: Message) -> None:
        self._no_open_calls("An assistant message")
        _require(self.begun, "A conversation begins with a user message.")
        _require(row.content, "An assistant message needs content.")
        for block in row.content:
            _require(not is_blank(block), "A text block must contain more than white space.")
            _require(block.get("type") != "tool_result", "An assistant can't say a tool_result block.")
            _require(not is_thinking(block) or is_signed(block), "A thinking block needs its signature.")
            if block["type"] == "tool_use":
                self._call(block)
            elif block["type"] in SERVED_CALLS:
                self._new_id(block.get("id"))
                self.unserved.append(block["id"])
            elif is_served_result(block):
                call_id = block.get("tool_use_id")
                _require(
                    call_id in self.unserved, f"No server tool's call waits for the result of {call_id}."
                )
                self.unserved.remove(str(call_id))

    def _call(self, call: Block) -> None:
        self._new_id(call.get("id"))
        name = call.get("name")
        _require(isinstance(name, str) and TOOL_NAME.match(name), f"Not a usable tool name: {name!r}.")
        _require(isinstance(call.get("input"), dict), f"The input of call {call['id']} is not an object.")
        self.open.append(call["id"])

    def _new_id(self, call_id: Any) -> None:
        _require(
            isinstance(call_id, str) and CALL_ID.match(call_id), f"Not a usable tool call id: {call_id!r}."
        )
        _require(call_id not in self.ids, f"The tool call id {call_id} is taken.")
        self.ids.add(str(call_id))

    def _no_open_calls(self, what: str) -> None:
        _require(not self.open, f"{what} can't come before the results of: {', '.join(self.open)}.")


_NOT_FROM_USERS: Final = frozenset(
    {"tool_use", "tool_result", "thinking", "redacted_thinking", *SERVED_CALLS}
)


def from_users(block: Block) -> bool:
    """May a user's message hold a block of this type? Findings of the API's own tools belong to the assistant."""
    kind = str(block.get("type"))
    return kind not in _NOT_FROM_USERS and not kind.endswith("_tool_result")


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise InvalidTranscript(message)


def _free_id(wanted: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-zA-Z0-9_-]", "_", wanted) or "call"
    if base not in taken:
        return base
    number = 2
    while f"{base}_{number}" in taken:
        number += 1
    return f"{base}_{number}"


def api_content(row: Message, *, prompt: str) -> list[Block]:
    """The content that one row contributes to a request under the prompt of that digest.

    Thinking is signed over everything before it, the prompt included; so only that made under this prompt is sent
    back. A row's part under one prompt stays the same.
    """
    keep_thinking = bool(prompt) and row.prompt == prompt
    return [for_api(block) for block in row.content if keep_thinking or not is_thinking(block)]
