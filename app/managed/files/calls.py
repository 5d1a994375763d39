"""Files of the Managed Agents API: uploaded, listed, downloaded and deleted."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final
from urllib.parse import quote

from flask import Response, request

from app.errors import InvalidRequest
from app.managed.calls import Calls, delete, get, post
from app.managed.files.file_json import file_json
from app.managed.files.uploads import posted_file
from app.managed.id_validation import checked, number_of
from app.managed.paging import page_json, texts, window
from app.managed_ids import new_id
from app.store.file_store import FileFacts, FilePage, FileStore, StoredFile
from app.store.key_pages import Place
from app.web.access import own_name, owner
from app.web.response_json import json_response

Json = dict[str, Any]

MOST: Final = 1000
MAX_IDS: Final = 100
_OLD_FORM: Final = "2023-06-01"


class FileCalls(Calls):
    prefix = "/v1/files"

    def __init__(self, files: FileStore, *, most_bytes: int) -> None:
        """`most_bytes` of one file."""
        self._files = files
        self._most = most_bytes

    @post("")
    def upload(self) -> Response:
        given = posted_file(self._most)
        name = own_name()
        content = self._files.keep(given.pieces(), owner=name)
        facts = FileFacts(new_id("file"), name, given.filename, given.mime_type, lasts=given.lasts)
        return json_response(file_json(self._files.add(content, facts)))

    @get("")
    def page(self) -> Response:
        session_id = request.args.get("scope_id")
        wanted = FilePage(MOST, session_id=None if session_id is None else number_of(session_id))
        if ids := texts("ids"):
            return self._named(wanted, ids)
        if request.headers.get("anthropic-version") == _OLD_FORM:
            return self._old_page(wanted)
        asked = window(most=MOST)
        rows = self._files.page(
            FilePage(asked.limit, asked.after, session_id=wanted.session_id), owner=owner()
        )
        return json_response(page_json(rows, asked, file_json, _place))

    @get("/<file_id>")
    def retrieve(self, file_id: str) -> Response:
        return json_response(file_json(self._found(file_id)))

    @get("/<file_id>/content")
    def download(self, file_id: str) -> Response:
        found = self._found(file_id)
        if not found.downloadable:
            raise InvalidRequest(f"File '{file_id}' is not downloadable", error_code="file_not_downloadable")
        pieces = self._files.pieces(found.content_id)
        first = next(pieces, b"")  # whatever is wrong with it is said now
        return Response(chain([first], pieces), content_type=found.mime_type, headers=_headers(found))

    @delete("/<file_id>")
    def delete(self, file_id: str) -> Response:
        self._files.delete(checked("file", file_id), owner=owner())
        return json_response({"id": file_id, "type": "file_deleted"})

    def _found(self, file_id: str) -> StoredFile:
        return self._files.get(checked("file", file_id), owner=owner())

    def _named(self, wanted: FilePage, ids: list[str]) -> Response:
        """The files of these that are there, in one page."""
        if "page" in request.args or "limit" in request.args:
            raise InvalidRequest("ids: it can't be given together with page or limit")
        named = [*dict.fromkeys(ids)]
        if len(named) > MAX_IDS:
            raise InvalidRequest(f"ids: at most {MAX_IDS} are allowed")
        for one in named:
            checked("file", one)
        rows = self._files.page(FilePage(MOST, session_id=wanted.session_id, ids=named), owner=owner())
        return json_response(_in_form(rows, more=False))

    def _old_page(self, wanted: FilePage) -> Response:
        """The form of the API's version before: a place is named by a file."""
        asked = window(most=MOST)
        after, before = request.args.get("after_id"), request.args.get("before_id")
        if after is not None and before is not None:
            raise InvalidRequest("before_id: it can't be given together with after_id")
        rows = self._files.page(
            FilePage(
                asked.limit,
                self._place_of("after_id", after),
                self._place_of("before_id", before),
                session_id=wanted.session_id,
            ),
            owner=owner(),
        )
        shown = rows[: asked.limit]
        if before is not None:
            shown.reverse()
        return json_response(_in_form(shown, more=len(rows) > asked.limit))

    def _place_of(self, name: str, file_id: str | None) -> Place | None:
        if file_id is None:
            return None
        rows = self._files.page(FilePage(1, ids=[checked("file", file_id)]), owner=owner())
        if not rows:
            raise InvalidRequest(f"{name}: there is no such file")
        return _place(rows[0])


def _in_form(rows: list[StoredFile], *, more: bool) -> Json:
    data = [file_json(one) for one in rows]
    if request.headers.get("anthropic-version") != _OLD_FORM:
        return {"data": data, "next_page": None}
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"data": data, "has_more": more, **ends}


def _place(found: StoredFile) -> Place:
    return found.created_at, found.id


def _headers(found: StoredFile) -> Json:
    """No browser shows it as a page of this server."""
    name = quote(found.filename, safe="")
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": "sandbox",
    }
