"""A remote tool server that answers exactly as a test wants it, in both ways that MCP goes over HTTP."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.agent.tools.web_site import WebSite, running

EVENTS = "text/event-stream"
JSON = "application/json"


@dataclass
class Answer:
    """In `body` ID stands for the request's id. `cut`: the connection ends before the body does."""

    body: str = ""
    status: int = 200
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


FINE = Answer('{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"fine"}]}}')


@dataclass
class OddSite:
    """`answers` are those to the next requests of a method, and FINE follows. A session that `sessions` does not
    have is answered with `unknown`."""

    site: WebSite
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    unknown: Answer = field(default_factory=lambda: Answer("Session not found", 404, "text/plain"))
    listening: Answer = field(default_factory=lambda: Answer("", 405))
    tools: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "say", "inputSchema": {}}])
    asked: list[str] = field(
        default_factory=list
    )  # methods of the requests that were served or answered by `answers`
    opened: int = 0
    outbox: queue.SimpleQueue[str | None] = field(
        default_factory=queue.SimpleQueue
    )  # of the older way, for the newest client

    def url(self, transport: str) -> str:
        return self.site.url("/sse" if transport == "sse" else "/mcp")

    def serve(self, method: str, request: Any, session: str) -> Answer:
        self.asked.append(method)
        if method != "initialize" and session not in self.sessions:
            self.asked.pop()
            return self.unknown
        if self.answers.get(method):
            return self.answers[method].pop(0)
        match method:
            case "initialize":
                introduced = {
                    "protocolVersion": request["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "odd", "version": "1"},
                }
                opened = {} if session else {"Mcp-Session-Id": self.open_session()}
                return Answer(self._result(introduced), headers=opened)
            case "tools/list":
                return Answer(self._result({"tools": self.tools}))
            case "tools/call":
                return FINE
            case _:
                return Answer("", 202)

    def open_session(self) -> str:
        self.opened += 1
        self.sessions.add(f"session{self.opened}")
        return f"session{self.opened}"

    @staticmethod
    def _result(result: Any) -> str:
        return '{"jsonrpc":"2.0","id":ID,"result":' + json.dumps(result) + "}"

    def streamable(self, request: BaseHTTPRequestHandler) -> None:
        if request.command != "POST":
            _send(request, self.listening if request.command == "GET" else Answer("", 200), None)
            return
        asked = json.loads(self.site.requests[-1][3])
        _send(
            request,
            self.serve(asked["method"], asked, request.headers["Mcp-Session-Id"] or ""),
            asked.get("id"),
        )

    def listen(self, request: BaseHTTPRequestHandler) -> None:
        """The stream of the older way: it begins with the address for the requests."""
        request.send_response(200)
        request.send_header("Content-Type", EVENTS)
        request.end_headers()
        self.end_listening()
        outbox = self.outbox = queue.SimpleQueue()
        request.wfile.write(f"event: endpoint\ndata: /messages?session_id={self.open_session()}\n\n".encode())
        while (said := outbox.get()) is not None:
            request.wfile.write(said.encode())

    def end_listening(self) -> None:
        """A client that is there sees its stream end."""
        self.outbox.put(None)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        asked = json.loads(self.site.requests[-1][3])
        session = request.path.partition("session_id=")[2]
        answer = self.serve(asked["method"], asked, session)
        if answer.status == 200:
            if "id" in asked:
                self.outbox.put(f"data: {answer.body.replace('ID', str(asked['id']))}\n\n")
            answer = Answer("", 202)
        _send(request, answer, None)


@contextmanager
def odd_site(port: int = 0) -> Iterator[OddSite]:
    with running(port) as site:
        odd = OddSite(site)
        site.pages = {"/mcp": odd.streamable, "/sse": odd.listen, "/messages": odd.take}
        try:
            yield odd
        finally:
            odd.end_listening()


def _send(request: BaseHTTPRequestHandler, answer: Answer, about: Any) -> None:
    body = answer.body.replace("ID", json.dumps(about)).encode()
    request.send_response(answer.status)
    request.send_header("Content-Type", answer.kind)
    request.send_header("Content-Length", str(len(body) + 10 * answer.cut))
    for name, value in answer.headers.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
    request.close_connection = True
