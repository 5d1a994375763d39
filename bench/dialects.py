"""How each server wants to be asked: docker-agent's routes, or its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Final, Protocol
from urllib.parse import urlencode

SESSION_ID: Final = re.compile(rb'"(?:thread_)?id" *: *"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": self.content_type, **self.headers}


def post(connection: HTTPConnection, request: Request) -> HTTPResponse:
    connection.request(request.method, request.path, request.body, request.all_headers)
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

    def session(self, agent: str, wish: str, /) -> Request | None:
        """Makes a session, whose id is in the answer (`SESSION_ID`); None if a run makes it, under any id. Where a
        session begins with its run, the agent gets its wish here."""
        ...

    def run(self, session: str, agent: str, wish: str) -> Request:
        """Streams an answer as server-sent events."""
        ...


class _DockerAgent:
    ping = "/api/ping"
    frame_end = b"\n\n"

    def session(self, _agent: str, _wish: str, /) -> Request | None:
        return Request("/api/sessions", b"{}")

    def run(self, session: str, agent: str, wish: str) -> Request:
        body = json.dumps([{"role": "user", "content": wish}]).encode()
        return Request(f"/api/sessions/{session}/agent/{agent}", body)


class _Agno:
    ping = "/health"
    frame_end = b"\n\n"

    def session(self, _agent: str, _wish: str, /) -> Request | None:
        return None

    def run(self, session: str, agent: str, wish: str) -> Request:
        form = urlencode({"message": wish, "stream": "true", "session_id": session})
        return Request(f"/agents/{agent}/runs", form.encode(), "application/x-www-form-urlencoded")


class _LangGraph:
    ping = "/ok"
    frame_end = b"\r\n\r\n"

    def session(self, _agent: str, _wish: str, /) -> Request | None:
        return Request("/threads", b"{}")

    def run(self, session: str, agent: str, wish: str) -> Request:
        messages = [{"role": "user", "content": wish}]
        body = {"assistant_id": agent, "input": {"messages": messages}, "stream_mode": ["messages-tuple"]}
        return Request(f"/threads/{session}/runs/stream", json.dumps(body).encode())


class _Managed:
    """The Managed Agents API. `agent` is the id of an agent, a slash, and that of an environment."""

    ping = "/api/ping"
    frame_end = b"\n\n"

    def session(self, agent: str, wish: str, /) -> Request | None:
        made, environment = agent.split("/")
        message = {"type": "user.message", "content": [{"type": "text", "text": wish}]}
        body = {"agent": made, "environment_id": environment, "initial_events": [message]}
        return Request("/v1/sessions", json.dumps(body).encode(), headers=MANAGED_HEADERS)

    def run(self, session: str, agent: str, wish: str) -> Request:  # noqa: ARG002 - it is at work already
        path = f"/v1/sessions/{session}/events/stream?event_deltas=agent.message"
        return Request(path, method="GET", headers=MANAGED_HEADERS)


MANAGED_HEADERS: Final = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "managed-agents-2026-04-01",
}
DIALECTS: Final[Mapping[str, Dialect]] = {
    "docker-agent": _DockerAgent(),
    "managed": _Managed(),
    "agno": _Agno(),
    "langgraph": _LangGraph(),
}
