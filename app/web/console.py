"""The console at `/`: static files for a browser, which then talks to the API like every other client.

Nothing here knows a session or a token. The pages hold no secrets, so they are open; the data behind them are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, send_from_directory

FILES: Final = Path(__file__).with_name("console")

PAGE: Final = "index.html"
"""Served at `/` and nowhere else: its addresses are relative to that."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
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


def is_open(path: str) -> bool:
    """Is this path of a request one of the console's files, which need no token?"""
    return path == "/" or path.startswith("/console/")


def blueprint() -> Blueprint:
    routes = Blueprint("console", __name__)

    @routes.get("/")
    def page() -> Response:
        return _file(PAGE)

    @routes.get("/console/<name>")
    def file(name: str) -> Response:
        if name == PAGE or Path(name).suffix not in _TYPES:
            abort(404)
        return _file(name)

    return routes


def _file(name: str) -> Response:
    response = send_from_directory(FILES, name, conditional=True, max_age=None)
    response.content_type = _TYPES[Path(name).suffix]
    response.headers.update(_HEADERS)
    return response
