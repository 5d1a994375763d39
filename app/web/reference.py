"""Routes that describe: the API as an OpenAPI document, with a page to read it, and agent files as a JSON Schema."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

from flask import Blueprint, Response, current_app, request

from app.distribution import version
from app.team.schema import agent_file_schema
from app.web.openapi.document import openapi_document
from app.web.response_json import json_text

_DIRECTORY: Final = Path(__file__).parent / "reference_page"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def blueprint(*, secured: bool) -> Blueprint:
    """`secured`: the server asks for tokens. The description itself is open: it tells nothing about anybody."""
    routes = Blueprint("reference", __name__)

    building = Lock()

    def described(indented: bool) -> bytes:
        with building:  # many who ask at once don't each build it
            return built(indented)

    @cache
    def built(indented: bool) -> bytes:
        document = openapi_document(current_app.url_map, version=version(), secured=secured)
        return json_text(document, indented=indented)

    @cache
    def schema(indented: bool) -> bytes:
        return json_text(agent_file_schema(), indented=indented)

    @routes.get("/openapi.json")
    def document() -> Response:
        return _json(described("pretty" in request.args))

    @routes.get("/agent-schema.json")
    def agent_schema() -> Response:
        return _json(schema("pretty" in request.args))

    @routes.get("/docs")
    def page() -> Response:
        return _file("index.html", "text/html; charset=utf-8")

    @routes.get("/docs/reference.js")
    def script() -> Response:
        return _file("reference.js", "text/javascript; charset=utf-8")

    @routes.get("/docs/reference.css")
    def style() -> Response:
        return _file("reference.css", "text/css; charset=utf-8")

    return routes


def _json(text: bytes) -> Response:
    return Response(text, content_type="application/json")


def _file(name: str, content_type: str) -> Response:
    response = Response((_DIRECTORY / name).read_bytes(), content_type=content_type)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response
