"""The part of a conversation that its fork takes over, or that is left when its end is taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from app.conversation.transcript import Message
from app.conversation.wire_content import message_id_of
from app.errors import InvalidRequest, MessageNotFound


def before_user_message(rows: Sequence[Message], index: int) -> list[Message]:
    """The rows before the user's message of that index, counted from 0. The rows before a user's message are always
    whole: no call waits there. InvalidRequest if there are not so many."""
    said = [place for place, row in enumerate(rows) if row.role == "user" and not row.implicit]
    if index >= len(said):
        raise InvalidRequest(f"there is no user message {index}; there are {len(said)}, counted from 0")
    return list(rows[: said[index]])


def before_message(rows: Sequence[Message], index: int) -> list[Message]:
    """The rows before the message of that index, counted as a session shows them, from 0. InvalidRequest if there are
    not so many, or if calls before it would lose their results."""
    if index > len(rows):
        raise InvalidRequest(f"there is no message {index}; there are {len(rows)}, counted from 0")
    if index < len(rows) and rows[index].role == "tool":
        raise InvalidRequest(
            f"message {index} is the result of a call before it; a copy can't end between them"
        )
    return list(rows[:index])


def before_newest_words(rows: Sequence[Message]) -> list[Message]:
    """The rows before what the user has said last, also if that was several messages in a row. InvalidRequest if the
    user has said nothing."""
    said = [place for place, row in enumerate(rows) if row.role == "user" and not row.implicit]
    if not said:
        raise InvalidRequest("the user has said nothing here")
    first = said.pop()
    while said and said[-1] == first - 1:
        first = said.pop()
    return list(rows[:first])


def before_words(rows: Sequence[Message], session_id: str, message_id: str) -> list[Message]:
    """The rows before the user's message that events name so. MessageNotFound if it is gone, InvalidRequest if it is
    somebody else's."""
    place = _place(rows, session_id, message_id)
    if rows[place].role != "user" or rows[place].implicit:
        raise InvalidRequest(f"message {message_id} is not the user's")
    return list(rows[:place])


def through_message(rows: Sequence[Message], session_id: str, message_id: str) -> list[Message]:
    """The rows up to the message that events name so, with the results of its calls. MessageNotFound."""
    end = _place(rows, session_id, message_id) + 1
    while end < len(rows) and rows[end].role == "tool":
        end += 1
    return list(rows[:end])


def _place(rows: Sequence[Message], session_id: str, message_id: str) -> int:
    for place, row in enumerate(rows):
        if message_id_of(session_id, row) == message_id:
            return place
    raise MessageNotFound()


class HandOff(NamedTuple):
    """The message in which an agent gave the conversation to another one, by its position, and the other's name."""

    position: int
    target: str


def newest_hand_off(rows: Sequence[Message]) -> HandOff | None:
    """The last one that took place: its call has a result, which is no error."""
    done = {
        row.content[0]["tool_use_id"]
        for row in rows
        if row.role == "tool" and not row.content[0].get("is_error")
    }
    for row in reversed(rows):
        for call in reversed(row.calls if row.role == "assistant" else ()):
            if call["name"] == "handoff" and call["id"] in done:
                return HandOff(row.position, str(call["input"].get("agent", "")))
    return None


def fork_title(parent: str, taken: Collection[str]) -> str:
    """`parent (fork N)` with the first N that is free; without a title there is none to add to."""
    if not parent:
        return ""
    number = 1
    while f"{parent} (fork {number})" in taken:
        number += 1
    return f"{parent} (fork {number})"
