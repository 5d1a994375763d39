"""The console at `/`: static files for a browser, which then talks to the API like every other client.

Nothing here knows a session or a token. The pages hold no secrets, so they are open; the data behind them are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import Response, abort, send_from_directory

from app import errors
from app.web.resource import Resource, ResponseSpec, static

FILES: Final = Path(__file__).with_name("console")

PAGE: Final = "index.html"
"""Served at `/` and nowhere else: its addresses are relative to that."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# No inline script or style, no other host, no form that leaves, no frame around it.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # Names don't change with content, so a browser asks each time; it is told "not modified" by the ETag.
    "Cache-Control": "no-cache",
}


class ConsoleResource(Resource):
    """The console's files."""

    name = "console"

    @static(
        "/",
        "The console",
        answers={
            200: ResponseSpec("A page.", str, media="text/html"),
            304: ResponseSpec("It has not changed."),
        },
    )
    def page(self) -> Response:
        return _file(PAGE)

    @static(
        "/console/<name>",
        "A file of the console",
        answers={200: ResponseSpec("The file.", str, media="*/*"), 304: ResponseSpec("It has not changed.")},
        refusals=(errors.NotFound,),
    )
    def file(self, name: str) -> Response:
        if name == PAGE or Path(name).suffix not in _TYPES:
            abort(404)
        return _file(name)

    @static(
        "/console/vendor/<package>/<name>",
        "A script of a library that the console uses",
        answers={200: ResponseSpec("A module.", str, media="*/*"), 304: ResponseSpec("It has not changed.")},
        refusals=(errors.NotFound,),
    )
    def library(self, package: str, name: str) -> Response:
        if package.startswith(".") or Path(name).suffix not in (".js", ".mjs"):
            abort(404)
        return _file(f"vendor/{package}/{name}")


def _file(name: str) -> Response:
    response = send_from_directory(FILES, name, conditional=True, max_age=None)
    response.content_type = _TYPES[Path(name).suffix]
    response.headers.update(_HEADERS)
    return response
