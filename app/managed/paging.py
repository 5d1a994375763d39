"""Lists in pages: cursors that name a row, so that nothing comes twice while rows are added."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import orjson
from flask import request

from app.errors import InvalidRequest
from app.store.key_pages import Place, Window

T = TypeVar("T")
DEFAULT: Final = 20
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    next_page: str | None


def window(*, default: int = DEFAULT, most: int = MOST) -> Window:
    """What the request's query asks for, newest first. InvalidRequest."""
    return Window(
        limit=_limit(default, most),
        after=_place_in(request.args.get("page")),
        since=_time("created_at[gte]"),
        until=_time("created_at[lte]"),
        archived=flag("include_archived"),
    )


def page(rows: Sequence[T], asked: Window, place: Callable[[T], Place]) -> Page[T]:
    """Of rows that were read with one more than the limit."""
    shown = rows[: asked.limit]
    return Page(shown, _cursor(place(shown[-1])) if len(rows) > asked.limit else None)


def flag(name: str) -> bool:
    given = request.args.get(name, "false")
    if given not in ("true", "false"):
        raise InvalidRequest(f"{name}: must be true or false")
    return given == "true"


def _limit(default: int, most: int) -> int:
    given = request.args.get("limit")
    if given is None:
        return default
    if not given.isascii() or not given.isdecimal() or len(given) > 6 or not 1 <= int(given) <= most:
        raise InvalidRequest(f"limit: must be a number from 1 to {most}")
    return int(given)


def _time(name: str) -> float | None:
    given = request.args.get(name)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
        return moment.timestamp() if moment.tzinfo else None or _refuse_time(name)
    except (ValueError, OverflowError):
        return _refuse_time(name)


def _refuse_time(name: str) -> float:
    raise InvalidRequest(f"{name}: must be a time as in RFC 3339")


def _cursor(place: Place) -> str:
    return "page_" + base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def _place_in(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    try:
        padded = cursor.removeprefix("page_") + "=" * (-len(cursor.removeprefix("page_")) % 4)
        value: Any = orjson.loads(base64.urlsafe_b64decode(padded))
        if not cursor.startswith("page_") or len(value) != 2:
            raise ValueError
        return float(value[0]), str(value[1])
    except (ValueError, TypeError, IndexError, KeyError):
        raise InvalidRequest("invalid page cursor") from None
