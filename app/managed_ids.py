"""Ids of the Managed Agents API: a prefix that tells the kind, and 24 characters of base 58 that begin with `01`."""

from __future__ import annotations

import re
import uuid
from typing import Final, Literal

Kind = Literal[
    "agent",
    "env",
    "sesn",
    "sevt",
    "sthr",
    "outc",
    "req",
    "file",
    "sesrsc",
    "vlt",
    "vcrd",
    "skill",
    "skill_version",
    "memstore",
    "mem",
    "memver",
    "work",
    "event",
]

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = 22  # so many hold 128 bits
_VERSION: Final = "01"


def new_id(kind: Kind) -> str:
    return id_of(kind, uuid.uuid4())


def id_of(kind: Kind, number: uuid.UUID) -> str:
    """The same for the same number: a session has one id at each door."""
    rest, digits = number.int, ""
    for _ in range(_DIGITS):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return f"{kind}_{_VERSION}{digits}"


def number_in(kind: Kind, text: str) -> uuid.UUID | None:
    """The number that `id_of` was given; None for a text that can't be such an id."""
    found = re.fullmatch(rf"{kind}_{_VERSION}([{_ALPHABET}]{{{_DIGITS}}})", text)
    if found is None:
        return None
    number = 0
    for digit in found[1]:
        number = number * len(_ALPHABET) + _ALPHABET.index(digit)
    return uuid.UUID(int=number) if number < 1 << 128 else None


def thread_id(session_id: str) -> str:
    """The id of a session's primary thread."""
    return id_of("sthr", uuid.UUID(session_id))


def event_id(message_id: str) -> str:
    """The id of the event that tells of a message; a new one for a message without an id."""
    return id_of("sevt", uuid.UUID(message_id)) if message_id else new_id("sevt")


def thinking_event_id(message_id: str) -> str:
    """The id of the event that tells that the model has thought before a message."""
    return id_of("sevt", uuid.uuid5(uuid.UUID(message_id), "thinking")) if message_id else new_id("sevt")


def result_event_id(session_id: str, call_id: str) -> str:
    """The id of the event by which a client gives a call its result: it has one, however often it is sent."""
    return id_of("sevt", uuid.uuid5(uuid.UUID(session_id), f"result of {call_id}"))


def call_event_id(session_id: str, call_id: str) -> str:
    """The id of the event that tells of a call."""
    return id_of("sevt", uuid.uuid5(uuid.UUID(session_id), call_id))
