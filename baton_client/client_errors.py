"""The server's refusals, as exceptions: the class tells what to do about it, `code` what exactly it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

BUSY: Final = ("session_busy", "awaiting_approval", "awaiting_input", "stopping")


class BatonError(Exception):
    """The server refused. `code` is the stable word for it, `body` all that it said."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        body: Mapping[str, Any] | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: Mapping[str, Any] = body or {}
        self.retry_after = retry_after
        """Seconds after which the server thinks that another try makes sense; 0 if it did not say."""

    @property
    def code(self) -> str:
        return str(self.body.get("code") or "")

    @property
    def request_id(self) -> str:
        """To be searched for in the server's log."""
        return str(self.body.get("request_id") or "")


class SessionBusyError(BatonError):
    """Somebody else has the session. `code` says what he does: `session_busy`, `awaiting_approval`,
    `awaiting_input` or `stopping`."""

    @property
    def holder(self) -> dict[str, Any]:
        """The run that has it: its `id`, `agent`, `status`, `started_at`, `waiting_for`…; empty when it is so
        new that the server could not say."""
        return dict(self.body.get("run") or {})


class NotFoundError(BatonError):
    """No such session, agent, run or message; or it is somebody else's."""


class NotAllowedError(BatonError):
    """A missing or wrong token, a wrong host name, or something that this token's role may not do."""


class ConflictError(BatonError):
    """It makes sense, but not now: see `code`."""


class BudgetReachedError(BatonError):
    """The session, or its owner today, has cost what it may. Nothing changes by trying again; an operator can
    raise it."""

    @property
    def budget(self) -> str:
        """Which one: `session` or `token`."""
        return str(self.body.get("budget") or "")

    @property
    def limit(self) -> float:
        """In dollars."""
        return float(self.body.get("limit") or 0.0)

    @property
    def spent(self) -> float:
        return float(self.body.get("spent") or 0.0)


class TooManyError(BatonError):
    """Too many requests, runs or waiting messages, for longer than `retry_seconds`: `code` says of what. Wait for
    `retry_after`."""


class UnavailableError(BatonError):
    """The server can't be reached, or has no room; for longer than `retry_seconds`."""


class RunFailedError(BatonError):
    """The run ended with an error. For `Run.text`, which has no other way to say so."""


class HttpFailure(Exception):
    """A request, or its answer, failed on its way; the text says how. Callers of the client see `UnavailableError`."""


def in_short(cause: BaseException) -> str:
    """The innermost reason; the errors around it repeat addresses of objects."""
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__


def error_of(status: int, reason: str, url: str, headers: Mapping[str, str], content: bytes) -> BatonError:
    """A refusal as the exception for it."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    body = parsed if isinstance(parsed, dict) else {}
    message = str(body.get("message") or f"{url} answered {status} {reason}")
    kind = _kind(status, str(body.get("code") or ""))
    return kind(message, status=status, body=body, retry_after=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Baton's is a number; a proxy's may be a date, which says nothing to a clock that is not the proxy's."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _kind(status: int, code: str) -> type[BatonError]:
    if code in BUSY:
        return SessionBusyError
    match status:
        case 401 | 403:
            return NotAllowedError
        case 402:
            return BudgetReachedError
        case 404:
            return NotFoundError
        case 409 | 412:
            return ConflictError
        case 429:
            return TooManyError
        case 502 | 503 | 504:
            return UnavailableError
    return BatonError
