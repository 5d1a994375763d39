"""The refusals of a route as responses: each status with the codes that it can carry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from app import errors
from app.web.error_responses import (
    AnsweredAlreadyJson,
    BusyJson,
    RefusalJson,
    StaleJson,
    TakenAlreadyJson,
    status_of_kind,
)
from app.web.resource import Route

Json = dict[str, Any]

SHAPES: Final[Mapping[type[errors.AppError], type]] = {
    errors.SessionBusy: BusyJson,
    errors.AnsweredAlready: AnsweredAlreadyJson,
    errors.StalePrecondition: StaleJson,
    errors.TakenAlready: TakenAlreadyJson,
}
BUSY_CODES: Final = ("session_busy", "awaiting_approval", "awaiting_input", "stopping")
HEADERS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After", "Location"),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

_Found = tuple[int, str, type]  # status, code, shape


def refusals(route: Route, *, has_path_values: bool, secured: bool) -> dict[int, Json]:
    """Responses by status. `secured`: the server asks for tokens."""
    found: dict[int, dict[type, list[str]]] = defaultdict(lambda: defaultdict(list))
    for status, code, shape in _of(route, has_path_values=has_path_values, secured=secured):
        if code not in found[status][shape]:
            found[status][shape].append(code)
    return {status: _response(status, found[status]) for status in sorted(found)}


def _of(route: Route, *, has_path_values: bool, secured: bool) -> Iterator[_Found]:
    kinds: list[type[errors.AppError]] = [errors.Forbidden, *route.refusals]
    if secured and not route.is_open:
        kinds += [errors.Unauthorized, errors.RateLimited, errors.ShareTaken]
    if route.stores:
        kinds.append(errors.StoreUnavailable)
    if route.body is not None or route.unread_body:
        kinds.append(errors.RequestTooLarge)
    if has_path_values:
        kinds.append(errors.NotFound)  # a text that can't be an id is not found
    yield from _of_kinds(kinds)
    yield from _of_wrong_words(route)
    yield 500, "internal", RefusalJson


def _of_kinds(kinds: Iterable[type[errors.AppError]]) -> Iterator[_Found]:
    for kind in kinds:
        if kind is errors.InvalidRequest:
            continue
        for code in BUSY_CODES if kind is errors.SessionBusy else (kind.code,):
            yield status_of_kind(kind), code, SHAPES.get(kind, RefusalJson)


def _of_wrong_words(route: Route) -> Iterator[_Found]:
    """InvalidRequest has a status for each way of being wrong."""
    code, checked = errors.InvalidRequest.code, errors.InvalidRequest in route.refusals
    if route.body is not None:
        yield 400, code, RefusalJson
    if route.body is not None or route.unread_body:
        yield 411, code, RefusalJson
    if route.body is not None or checked:
        yield 422, code, RefusalJson


def _response(status: int, codes: Mapping[type, list[str]]) -> Json:
    variants: list[Json] = [
        {
            "allOf": [
                {"$ref": f"#/components/schemas/{shape.__name__}"},
                {"properties": {"code": {"enum": listed}}},
            ]
        }
        for shape, listed in codes.items()
    ]
    words = " · ".join(f"`{code}`" for listed in codes.values() for code in listed)
    return {
        "description": words,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS.get(status, ())},
        "content": {
            "application/json": {"schema": variants[0] if len(variants) == 1 else {"anyOf": variants}}
        },
    }
