"""A request to the API, as it is sent and sent again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

Json = dict[str, Any]
Message = str | Sequence[Mapping[str, Any]]
"""A text, or messages in the API's own form."""

LIVE: Final = ("running", "awaiting_approval", "awaiting_input")

TEMPORARY: Final = ("server_full", "draining", "store_unavailable", "")
"""Codes of a 503 that is worth another try; a proxy's answer has none."""

GARBLED_ATTEMPTS: Final = 3
"""An answer that is none of Baton's was cut, or comes from another kind of server; soon it must be the latter."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request that may be sent again as it is, unless it is not `repeatable`.

    `patience` is added to how long the first byte may take, in seconds. `bodiless`: the answer says all by its headers.
    """

    method: str
    path: str
    body: Any = None
    query: Mapping[str, Any] | None = None
    key: str | None = None  # with the same key it is the same request
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    patience: float = 0.0
    repeatable: bool = True
    bodiless: bool = False

    @property
    def all_headers(self) -> dict[str, str]:
        headers = dict(self.headers)
        if self.key:
            headers["Idempotency-Key"] = self.key
        if self.stream:
            headers["Accept-Encoding"] = "identity"  # whatever compresses a stream holds it back
            headers["Baton-Wire"] = "later"  # the form of the events that are read here
        return headers

    @property
    def given_query(self) -> dict[str, Any]:
        return {name: value for name, value in (self.query or {}).items() if value is not None}


class RetryClock:
    """Counts, and waits longer each time."""

    FIRST: Final = 0.1
    LONGEST: Final = 3.0

    def __init__(self) -> None:
        self.number = 0

    def pause(self) -> float:
        return float(min(self.LONGEST, self.FIRST * 2 ** (self.number - 1)))


def path(*parts: str) -> str:
    """Below `/api`; a part may hold any characters."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def new_key() -> str:
    """For `Idempotency-Key`."""
    return uuid.uuid4().hex


def messages_of(message: Message) -> list[Any]:
    return [{"role": "user", "content": message}] if isinstance(message, str) else list(message)


def session_stream(session_id: str, after: int | None) -> ApiCall:
    """A session's events after that one; None: from the beginning of the run at work, or what comes next."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    query = {"from": "run"} if after is None else None
    return ApiCall("GET", path("sessions", session_id, "events"), query=query, headers=headers, stream=True)
