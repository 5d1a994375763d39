"""Validation of the ids in requests of the Managed Agents API."""

from __future__ import annotations

import uuid
from typing import Final, Literal

from app.errors import InvalidRequest
from app.managed_ids import number_in

Kind = Literal[
    "agent",
    "env",
    "sesn",
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
]

_NAMES: Final = {
    "agent": "agent",
    "env": "environment",
    "sesn": "session",
    "file": "file",
    "sesrsc": "resource",
    "vlt": "vault",
    "vcrd": "credential",
    "skill": "skill",
    "skill_version": "skill version",
    "memstore": "memory store",
    "mem": "memory",
    "memver": "memory version",
    "work": "work",
}


def checked(kind: Kind, given: str) -> str:
    """The id. InvalidRequest for a text that can't be one of that kind."""
    _number(kind, given)
    return given


def number_of(session_id: str) -> str:
    """The id that the session has at the other door. InvalidRequest."""
    return str(_number("sesn", session_id))


def _number(kind: Kind, given: str) -> uuid.UUID:
    number = number_in(kind, given)
    if number is None:
        raise InvalidRequest(f"Invalid {_NAMES[kind]} ID.")
    return number
