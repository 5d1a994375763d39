"""How each server wants to be asked: docker-agent's routes, or its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Final, Protocol
from urllib.parse import urlencode

SESSION_ID: Final = re.compile(rb'"(?:thread_)?id" *: *"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Request:
    """A POST."""

    path: str
    body: bytes
    content_type: str = "application/json"


def post(connection: HTTPConnection, request: Request) -> HTTPResponse:
    connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
    return connection.getresponse()


class Dialect(Protocol):
    @property
    def frame_end(self) -> bytes:
        """Stands behind each server-sent event."""
        ...

    @property
    def ping(self) -> str:
        """A path that answers 200 as soon as the server serves."""
        ...

    def session(self) -> Request | None:
        """Makes a session, whose id is in the answer (`SESSION_ID`); None if a run makes it, under any id."""
        ...

    def run(self, session: str, agent: str, wish: str) -> Request:
        """Streams an answer as server-sent events."""
        ...


class _DockerAgent:
    ping = "/api/ping"
    frame_end = b"\n\n"

    def session(self) -> Request | None:
        return Request("/api/sessions", b"{}")

    def run(self, session: str, agent: str, wish: str) -> Request:
        body = json.dumps([{"role": "user", "content": wish}]).encode()
        return Request(f"/api/sessions/{session}/agent/{agent}", body)


class _Agno:
    ping = "/health"
    frame_end = b"\n\n"

    def session(self) -> Request | None:
        return None

    def run(self, session: str, agent: str, wish: str) -> Request:
        form = urlencode({"message": wish, "stream": "true", "session_id": session})
        return Request(f"/agents/{agent}/runs", form.encode(), "application/x-www-form-urlencoded")


class _LangGraph:
    ping = "/ok"
    frame_end = b"\r\n\r\n"

    def session(self) -> Request | None:
        return Request("/threads", b"{}")

    def run(self, session: str, agent: str, wish: str) -> Request:
        messages = [{"role": "user", "content": wish}]
        body = {"assistant_id": agent, "input": {"messages": messages}, "stream_mode": ["messages-tuple"]}
        return Request(f"/threads/{session}/runs/stream", json.dumps(body).encode())


DIALECTS: Final[Mapping[str, Dialect]] = {
    "docker-agent": _DockerAgent(),
    "agno": _Agno(),
    "langgraph": _LangGraph(),
}
