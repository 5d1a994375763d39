"""Long lists as JSON, written page by page: memory does not grow with what is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import orjson
from flask import Response, request

from app.web.response_json import json_response

PAGE: Final = 200
"""How many sessions or messages are held at once."""

Pages = Iterator[Sequence[Any]]


def array_response(pages: Pages) -> Response:
    """A JSON array of everything in the pages. Whatever the first page raises is raised here, and becomes a
    refusal; if a later one fails, the connection breaks in the middle."""
    return _response(chain(_array(b"[", pages), [b"]"]))


@dataclass(frozen=True, slots=True)
class Listed:
    """An object one of whose values is such an array: the text before it and the text after it. `always`: also if
    there is nothing in it."""

    before: Mapping[str, Any]
    name: str
    pages: Pages
    after: Mapping[str, Any]
    always: bool = False

    def written(self) -> Iterator[bytes]:
        """Its JSON, in pieces; the first one comes when the first page is there."""
        first = next(self.pages, ())
        if not first and not self.always:
            yield orjson.dumps({**self.before, **self.after})
            return
        head = orjson.dumps(self.before)[:-1] + (b"," if self.before else b"")
        yield from _array(head + orjson.dumps(self.name) + b":[", chain([first], self.pages))
        yield b"]," + orjson.dumps(self.after)[1:] if self.after else b"]}"


def object_response(listed: Listed) -> Response:
    return _response(listed.written())


def wrapped_response(before: Mapping[str, Any], name: str, listed: Listed, status: int) -> Response:
    """An object with such an object in it."""
    head = orjson.dumps(before)[:-1] + b"," + orjson.dumps(name) + b":"
    return _response(chain([head], listed.written(), [b"}"]), status)


def objects_response(
    before: Mapping[str, Any], name: str, objects: Iterable[Listed], after: Mapping[str, Any]
) -> Response:
    """An object with an array of such objects, one of which is read at a time."""

    def written() -> Iterator[bytes]:
        opened = orjson.dumps(before)[:-1] + b"," + orjson.dumps(name) + b":["
        for listed in objects:
            for piece in listed.written():
                yield opened + piece
                opened = b""
            opened = b","
        yield opened.removesuffix(b",") + b"]," + orjson.dumps(after)[1:]

    return _response(written())


def _response(pieces: Iterator[bytes], status: int = 200) -> Response:
    if "pretty" in request.args:
        return json_response(orjson.loads(b"".join(pieces)), status)
    first = next(pieces)
    return Response(chain([first], pieces, [b"\n"]), status, content_type="application/json")


def _array(head: bytes, pages: Pages) -> Iterator[bytes]:
    yield head + _joined(next(pages, ()))
    for page in pages:
        if page:
            yield b"," + _joined(page)


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
