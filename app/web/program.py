"""The program that a request comes from, if it is one of docker-agent's later clients."""

from __future__ import annotations

from typing import Final

from flask import request

from app.runtime.streams.own_streams import Program
from app.web.access import own_name
from app.web.wire_generation import Generation, generation

_GO: Final = "Go-http-client/"
_FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP")


def later_client(*, streams: bool) -> Program | None:
    """None also for a request that a proxy has passed on: programs share a proxy's connections. `streams`: it asks for
    events, as that client does."""
    headers, port = request.headers, str(request.environ.get("REMOTE_PORT") or "")
    user_agent = headers.get("User-Agent", "")
    if not user_agent.startswith(_GO) or not request.remote_addr or not port:
        return None
    if any(name in headers for name in _FORWARDED) or generation() is not Generation.LATER:
        return None
    asks_for_events = (headers.get("Accept"), headers.get("Cache-Control")) == (
        "text/event-stream",
        "no-cache",
    )
    if streams and not asks_for_events:
        return None
    return Program(own_name(), request.remote_addr, user_agent, port)
