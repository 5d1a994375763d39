"""Who may talk to the server: bearer tokens, and the Host and Origin a browser sends."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, g, request

from app.errors import Forbidden, Unauthorized

_OPEN: Final = frozenset(
    {"/api/ping", "/health", "/ready", "/api/ready"}
    | {"/openapi.json", "/docs", "/docs/reference.js", "/docs/reference.css"}
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", ""})


class Access:
    """`tokens` by name; none means that everybody who can connect may do everything."""

    def __init__(self, tokens: Mapping[str, str], *, hosts: frozenset[str]) -> None:
        self._tokens = {name: token.encode() for name, token in tokens.items()}
        self._hosts = _LOOPBACK | hosts

    def register(self, app: Flask) -> None:
        app.before_request(self.check)

    def check(self) -> None:
        """Raises Forbidden, Unauthorized; else notes who is asking, for this request."""
        self._check_browser()
        g.owner = None
        if self._tokens and request.path not in _OPEN:
            g.owner = self._owner_of(request.headers.get("Authorization", ""))

    def _check_browser(self) -> None:
        """A page of some other site must not drive an agent on this machine, not even by renaming itself to
        this machine's address: so the name that was asked for counts, and where the page came from."""
        if "*" in self._hosts:
            return
        host = _name(f"//{request.headers.get('Host', '')}")
        if host not in self._hosts:
            raise Forbidden(f"This server does not answer to the host name {host[:100]!r}.")
        origin = request.headers.get("Origin")
        if origin is not None and _name(origin) != host:
            raise Forbidden("Requests from pages of other origins are not answered.")

    def _owner_of(self, header: str) -> str:
        scheme, _, given = header.partition(" ")
        token = given.strip().encode() if scheme.lower() == "bearer" else b""
        # all are compared, each in constant time, so that nothing is learned from how long it takes
        names = [name for name, known in self._tokens.items() if hmac.compare_digest(known, token)]
        if not names:
            raise Unauthorized()
        return names[0]


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return "?"


def owner() -> str | None:
    """Whose sessions this request may see; None for everybody's."""
    name: str | None = g.owner
    return name


def asker() -> str:
    """The name to be written down for what this request does."""
    return owner() or f"{request.remote_addr or 'local'}"
