"""Long lists as JSON, written page by page: memory does not grow with what is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import orjson
from flask import Response, request

from app.web.payloads import json_response

PAGE: Final = 200
"""How many sessions or messages are held at once."""

Pages = Iterator[Sequence[Any]]


def array_response(pages: Pages) -> Response:
    """A JSON array of everything in the pages. Whatever the first page raises is raised here, and becomes a
    refusal; if a later one fails, the connection breaks in the middle."""
    if "pretty" in request.args:
        return json_response(list(chain.from_iterable(pages)))
    return _streamed(b"[", pages, b"]\n")


def object_response(before: Mapping[str, Any], name: str, pages: Pages, after: Mapping[str, Any]) -> Response:
    """A JSON object one of whose values is such an array; it is left out if there is nothing in it."""
    if "pretty" in request.args:
        listed = list(chain.from_iterable(pages))
        return json_response({**before, **({name: listed} if listed else {}), **after})
    first = next(pages, ())
    if not first:
        return json_response({**before, **after})
    head = orjson.dumps(before)[:-1] + b"," + orjson.dumps(name) + b":["
    return _streamed(head, chain([first], pages), b"]," + orjson.dumps(after)[1:] + b"\n")


def _streamed(head: bytes, pages: Pages, tail: bytes) -> Response:
    first = _joined(next(pages, ()))

    def body() -> Iterator[bytes]:
        yield head + first
        for page in pages:
            if page:
                yield b"," + _joined(page)
        yield tail

    return Response(body(), content_type="application/json")


def _joined(page: Sequence[Any]) -> bytes:
    return orjson.dumps(page)[1:-1]


def in_pages(
    read: Callable[[Any], Sequence[Any]], *, last: Callable[[Any], Any], show: Callable[[Any], Any]
) -> Pages:
    """Reads page after page, each from behind the last of the one before, until one is not full."""
    behind = None
    while True:
        page = read(behind)
        yield [show(one) for one in page]
        if len(page) < PAGE:
            return
        behind = last(page[-1])
