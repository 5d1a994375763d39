"""Query parameters and headers: read, checked, and refused in words that say what would do."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final, get_args

from flask import request

from app.conversation.run import RunStatus
from app.errors import InvalidRequest
from app.store.idempotency import KeyUse
from app.team.durations import parse_duration
from app.web.access import own_name

SESSION_ID: Final = r"[A-Za-z0-9_-]{1,64}"


def choice(name: str, words: tuple[str, ...], default: str) -> str:
    value = request.args.get(name, default)
    if value not in words:
        raise InvalidRequest(f"{name} must be one of {', '.join(words)}", status=422)
    return value


def seconds(name: str, default: float = 0.0, *, most: float) -> float:
    """`10`, `2.5`, `500ms` or `1m30s`; what is more than `most` counts as `most`."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        plain = re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", text)
        value = float(text) if plain else parse_duration(text)
    except ValueError:
        value = -1.0
    if not text or value < 0:
        raise InvalidRequest(f"{name} is a number of seconds, for example 10, 2.5s or 1m30s", status=422)
    return min(value, most)


def statuses() -> list[str]:
    known = get_args(RunStatus)
    wanted = [word.strip() for word in request.args.get("status", "").split(",") if word.strip()]
    if not set(wanted) <= set(known):
        raise InvalidRequest(f"status is a list, separated by commas, of {', '.join(known)}", status=422)
    return wanted


def session_filter() -> str | None:
    given = request.args.get("session")
    if given is not None and not re.fullmatch(SESSION_ID, given):
        raise InvalidRequest("session is the id of a session", status=422)
    return given


def cursor() -> int | None:
    """The number of the last event that the reader has seen, from the header or from `since`."""
    return whole(request.headers.get("Last-Event-ID") or request.args.get("since"), "an event number")


def expected_position() -> int | None:
    """`If-Match`: the position of the last message that the caller has seen; -1 for an empty session."""
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    text = given.strip().removeprefix("W/").strip('"')
    return -1 if text == "-1" else whole(text, "If-Match, the position of the last message you have seen,")


def idempotency_key(body: object) -> KeyUse | None:
    """How this request uses its `Idempotency-Key`; None if it has none."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise InvalidRequest("an Idempotency-Key is 1 to 255 printable characters without spaces", status=422)
    digest = hashlib.sha256(f"{request.method} {request.path}\0{body!r}".encode()).hexdigest()
    return KeyUse(own_name(), key, digest)


def moment(name: str) -> float | None:
    """A time: RFC 3339, or seconds since the epoch. One that we have written ourselves is rounded to a microsecond,
    so that much earlier counts too."""
    text = request.args.get(name)
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        whole_text = re.sub(r"(T.*) ", r"\1+", text)  # a plus sign that nobody has quoted
        return datetime.fromisoformat(whole_text).astimezone(UTC).timestamp() - 0.000_001
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name} is a time, for example 2026-11-22T20:00:00Z, or seconds since the epoch", status=422
        ) from None


def whole(text: str | None, what: str) -> int | None:
    """At most 18 digits; None for nothing."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidRequest(f"{what} is a whole number", status=422)
    return int(text)
