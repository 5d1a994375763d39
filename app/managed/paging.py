"""Lists in pages: cursors that name a row, so that nothing comes twice while rows are added."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import orjson
from flask import request

from app.errors import InvalidRequest
from app.managed.id_validation import checked
from app.store.key_pages import Place, Times, Window
from app.store.managed_sessions import Filter, ManagedSession
from app.store.told_event_pages import Wanted
from app.store.told_events import Told

T = TypeVar("T")
Json = dict[str, Any]
DEFAULT: Final = 20
MOST: Final = 100
MAX_NUMBER: Final = 1 << 53
_STATUSES: Final = frozenset({"idle", "running", "rescheduling", "terminated"})


def window(*, default: int = DEFAULT, most: int = MOST) -> Window:
    """What the request's query asks for, newest first. InvalidRequest."""
    return Window(
        limit=_limit(default, most),
        after=_place_in(request.args.get("page")),
        made=Times(since=_time("created_at[gte]"), until=_time("created_at[lte]")),
        archived=flag("include_archived"),
    )


@dataclass(frozen=True, slots=True)
class SessionPages:
    """Pages of sessions, which lead both ways."""

    wanted: Filter
    order: str

    @classmethod
    def of_request(cls) -> Self:
        """InvalidRequest."""
        order = request.args.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest(f'order: "{order}" is not a valid value; expected one of asc, desc')
        given, after = _cursor_in(request.args.get("page")), None
        if given is not None:
            if given.order != order:
                raise InvalidRequest("page token order does not match request")
            after = given.place
        statuses = asked_statuses()
        version = request.args.get("agent_version")
        if version is not None and not re.fullmatch("[0-9]{1,9}", version):
            raise InvalidRequest("agent_version: must be a whole number")
        agent_id = request.args.get("agent_id")
        memory_store = request.args.get("memory_store_id")
        if request.args.get("deployment_id"):
            raise InvalidRequest("deployment_id: there are none here")
        wanted = Filter(
            limit=_limit(DEFAULT, MOST),
            agent_id=None if agent_id is None else checked("agent", agent_id),
            agent_version=None if version is None else int(version),
            statuses=statuses,
            archived=flag("include_archived"),
            ascending=order == "asc",
            after=after,
            backward=given is not None and given.backward,
            memory_store_id=None if memory_store is None else checked("memstore", memory_store),
            made=_times(),
        )
        return cls(wanted, order)

    def answer(self, rows: Sequence[ManagedSession], show: Callable[[ManagedSession], Json]) -> Json:
        """Of rows that were read with one more than the limit."""
        wanted = self.wanted
        more, shown = len(rows) > wanted.limit, list(rows[: wanted.limit])
        if wanted.backward:
            shown.reverse()
        before = (more if wanted.backward else wanted.after is not None) and bool(shown)
        behind = (wanted.backward or more) and bool(shown)
        return {
            "data": [show(one) for one in shown],
            "next_page": self._cursor(shown[-1], backward=False) if behind else None,
            "prev_page": self._cursor(shown[0], backward=True) if before else None,
        }

    def _cursor(self, found: ManagedSession, *, backward: bool) -> str:
        return _written([found.created_at, found.session.id, self.order, backward])


def event_page(*, most: int, default: int, ordered: bool) -> tuple[Wanted, str]:
    """The page of a session's events that is asked for, and its order. InvalidRequest."""
    order = request.args.get("order", "asc") if ordered else "asc"
    if order not in ("asc", "desc"):
        raise InvalidRequest(f'order: "{order}" is not a valid value; expected one of asc, desc')
    after = None
    if (cursor := request.args.get("page")) is not None:
        value = _read(cursor, 3)
        if value[2] != order:
            raise InvalidRequest("page token order does not match request")
        after = (None if value[0] is None else int(_number(value[0]))), _id(value[1])
    wanted = Wanted(
        limit=_limit(default, most),
        types=_types() if ordered else (),
        descending=order == "desc",
        after=after,
        times=_times(),
    )
    return wanted, order


def event_cursor(event: Told, order: str) -> str:
    return _written([event.number, event.id, order])


def asked_statuses() -> list[str]:
    """InvalidRequest for a status that there is not."""
    statuses = texts("statuses")
    for status in statuses:
        if status not in _STATUSES:
            allowed = ", ".join(sorted(_STATUSES))
            raise InvalidRequest(f'statuses: "{status}" is not a valid value; expected one of {allowed}')
    return statuses


def _types() -> list[str]:
    types = texts("types")
    for one in types:
        if not re.fullmatch(r"[a-z_]{1,40}(\.[a-z_]{1,40})?", one):
            raise InvalidRequest(f'types: "{one[:100]}" is no type of an event')
    return types


def texts(name: str) -> list[str]:
    """An array in the query, with brackets or without."""
    return [*request.args.getlist(f"{name}[]"), *request.args.getlist(name)]


def page_json(
    rows: Sequence[T], asked: Window, show: Callable[[T], Json], place: Callable[[T], Place]
) -> Json:
    """Of rows that were read with one more than the limit."""
    shown = rows[: asked.limit]
    more = len(rows) > asked.limit
    return {"data": [show(one) for one in shown], "next_page": _written(place(shown[-1])) if more else None}


def path_page(*, default: int = DEFAULT, most: int = MOST) -> tuple[int, str]:
    """The limit that the request's query asks for, and the path that its page begins behind; empty for the first one.
    InvalidRequest."""
    limit, cursor, after = _limit(default, most), request.args.get("page"), ""
    if cursor:
        (after,) = _read(cursor, 1)
        if not isinstance(after, str) or not re.fullmatch(r"/[^\0]{0,2048}", after, re.DOTALL):
            raise InvalidRequest("invalid page cursor")
    return limit, after


def path_cursor(path: str) -> str:
    return _written([path])


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


def _times() -> Times:
    return Times(
        later_than=_time("created_at[gt]"),
        since=_time("created_at[gte]"),
        earlier_than=_time("created_at[lt]"),
        until=_time("created_at[lte]"),
    )


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


@dataclass(frozen=True, slots=True)
class _Cursor:
    place: Place
    order: str
    backward: bool


def _cursor_in(cursor: str | None) -> _Cursor | None:
    if not cursor:
        return None
    value = _read(cursor, 4)
    return _Cursor((_number(value[0]), _id(value[1])), str(value[2]), bool(value[3]))


def _place_in(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    value = _read(cursor, 2)
    return _number(value[0]), _id(value[1])


def _written(value: Sequence[Any]) -> str:
    return "page_" + base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def _read(cursor: str, size: int) -> list[Any]:
    """A cursor's parts. InvalidRequest for what none of these lists has given."""
    text = cursor.removeprefix("page_")
    try:
        value = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        value = None
    if text == cursor or not isinstance(value, list) or len(value) != size:
        raise InvalidRequest("invalid page cursor")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        raise InvalidRequest("invalid page cursor")
    return float(value)


def _id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]{1,64}", value, re.ASCII):
        raise InvalidRequest("invalid page cursor")
    return value
