"""The console at `/`: static files for a browser, which then talks to the API like every other client.

Nothing here knows a session or a token. The pages hold no secrets, so they are open; the data behind them are not.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Response, abort, request, send_from_directory

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
    # A name does not change with its content, so a browser asks each time; it is told "not modified" by the ETag.
    "Cache-Control": "no-cache",
}
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


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
        """Its scripts and styles have addresses that change with their content: a browser keeps them."""
        text = (FILES / PAGE).read_text().replace('="console/', f'="console/v/{_version()}/')
        response = Response(text, content_type=_TYPES[".html"], headers=_HEADERS)
        response.add_etag()
        response.make_conditional(request)
        return response

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
        "/console/v/<version>/<name>",
        "A file of the console, of one version",
        answers={200: ResponseSpec("The file.", str, media="*/*"), 304: ResponseSpec("It has not changed.")},
        refusals=(errors.NotFound,),
    )
    def versioned_file(self, version: str, name: str) -> Response:
        return _kept(self.file(name), version)

    @static(
        "/console/v/<version>/vendor/<package>/<name>",
        "A script of a library that the console uses, of one version",
        answers={200: ResponseSpec("A module.", str, media="*/*"), 304: ResponseSpec("It has not changed.")},
        refusals=(errors.NotFound,),
    )
    def versioned_library(self, version: str, package: str, name: str) -> Response:
        return _kept(self.library(package, name), version)

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


def _kept(response: Response, version: str) -> Response:
    """A process of another release may be asked for this one's files, and has others by that name."""
    if version == _version():
        response.headers.update(_FOR_EVER)
    return response


def _version() -> str:
    """A name for what the files hold now. They change under a server that is being developed."""
    files = sorted(path for path in FILES.rglob("*") if path.suffix in _TYPES and path.is_file())
    stats = [(path, path.stat()) for path in files]
    return _digest(tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats))


@lru_cache(maxsize=1)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """The same on every host that has the same files."""
    digest = hashlib.sha256()
    for path, _, size in files:
        digest.update(f"{path.relative_to(FILES)} {size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
