"""Query parameters of requests for memories and their versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import request

from app.errors import InvalidRequest
from app.managed.id_validation import checked, number_of
from app.managed.memory.actors import key_in
from app.managed.paging import path_cursor, path_page, window
from app.store.key_pages import Window
from app.store.memories import Entry, Listing
from app.store.memory_history import VersionFilter

MOST_FULL: Final = 20
"""Entries of a page that have their contents with them."""

_OPERATIONS: Final = ("created", "modified", "deleted")


def wants_content(*, default: bool = False) -> bool:
    """InvalidRequest for a view that there is not."""
    view = request.args.get("view", "full" if default else "basic")
    if view not in ("basic", "full"):
        raise InvalidRequest(f'view: "{view}" is not a valid value; expected one of basic, full')
    return view == "full"


def listing() -> Listing:
    """InvalidRequest."""
    content, (limit, after) = wants_content(), path_page()
    depth = request.args.get("depth", "0")
    if depth not in ("0", "1"):
        raise InvalidRequest("depth: must be 0 or 1")
    prefix = request.args.get("path_prefix", "/")
    if not (prefix.startswith("/") and prefix.endswith("/")) or "//" in prefix or "\0" in prefix:
        raise InvalidRequest("path_prefix: must begin and end with /, and name whole segments")
    return Listing(
        limit=min(limit, MOST_FULL) if content else limit,
        prefix=prefix,
        shallow=depth == "1",
        after=after,
        content=content,
    )


def listing_cursor(last: Entry) -> str:
    return path_cursor(last if isinstance(last, str) else last.path)


def versions() -> tuple[VersionFilter | None, Window]:
    """The filter, None if nothing can meet it; and the page, whose place names a version by its number."""
    content, asked = wants_content(), window()
    if content:
        asked = replace(asked, limit=min(asked.limit, MOST_FULL))
    operation, memory, session = map(request.args.get, ("operation", "memory_id", "session_id"))
    if operation is not None and operation not in _OPERATIONS:
        allowed = ", ".join(sorted(_OPERATIONS))
        raise InvalidRequest(f'operation: "{operation}" is not a valid value; expected one of {allowed}')
    wanted = VersionFilter(
        limit=asked.limit,
        before=None if asked.after is None else int(asked.after[0]),
        memory_id=None if memory is None else checked("mem", memory),
        operation=operation,
        by_session=None if session is None else number_of(session),
        made=asked.made,
        content=content,
    )
    if (api_key := request.args.get("api_key_id")) is not None:
        key = key_in(api_key)
        if key is None or "\0" in key:
            return None, asked
        wanted = replace(wanted, by_key=key)
    return (None if "service_account_id" in request.args else wanted), asked


def expected_digest() -> str | None:
    """InvalidRequest."""
    given = request.args.get("expected_content_sha256")
    if given is not None and (len(given) != 64 or set(given) - set("0123456789abcdef")):
        raise InvalidRequest("expected_content_sha256: must be 64 lowercase hexadecimal characters")
    return given
