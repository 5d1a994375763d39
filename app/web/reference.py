"""Routes that describe: the API as an OpenAPI document, with a page to read it, and agent files as a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final

from flask import Response, abort, current_app, request

from app import errors
from app.distribution import version
from app.team.schema import agent_file_schema
from app.web.openapi.document import openapi_document
from app.web.resource import Resource, ResponseSpec, static
from app.web.response_json import json_text

_DIRECTORY: Final = Path(__file__).parent / "reference_page"
_FILES: Final = frozenset(path.name for path in _DIRECTORY.glob("*.[jc]s*"))
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReferenceResource(Resource):
    """Builds each description once."""

    name = "reference"

    def __init__(self, *, secured: bool) -> None:
        self._secured = secured
        self._building = Lock()
        self._built: dict[tuple[str, bool], bytes] = {}

    @static("/openapi.json", "This document", answers={200: ResponseSpec("OpenAPI 3.1.", dict[str, Any])})
    def document(self) -> Response:
        return self._json(
            "document", lambda: openapi_document(current_app, version=version(), secured=self._secured)
        )

    @static(
        "/agent-schema.json",
        "The JSON Schema of agent files",
        answers={200: ResponseSpec("For editors, and for programs that write them.", dict[str, Any])},
    )
    def agent_schema(self) -> Response:
        return self._json("agents", agent_file_schema)

    @static("/docs", "This document, to read", answers={200: ResponseSpec("A page.", str, media="text/html")})
    def page(self) -> Response:
        return _file("index.html", _TYPES[".html"])

    @static(
        "/docs/<name>",
        "A file of the page",
        answers={200: ResponseSpec("The file.", str, media="*/*")},
        refusals=(errors.NotFound,),
    )
    def file(self, name: str) -> Response:
        if name not in _FILES:
            abort(404)
        return _file(name, _TYPES[Path(name).suffix])

    def _json(self, name: str, make: Callable[[], Any]) -> Response:
        key = (name, "pretty" in request.args)
        with self._building:  # many who ask at once don't each build it
            if key not in self._built:
                self._built[key] = json_text(make(), indented=key[1])
        return Response(self._built[key], content_type="application/json")


def _file(name: str, content_type: str) -> Response:
    response = Response((_DIRECTORY / name).read_bytes(), content_type=content_type)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response
