"""The server on which all cases are played, and what is seen of a run."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import httpcore2
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools import public_http
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.factory import Server, build
from tests.agent.socket_server import serving
from tests.conftest import make_settings
from tests.corpus.web import Web
from tests.harness.in_process import LocalClient, LocalStream

SONNET: Final = "anthropic/claude-sonnet-5-5"
DEADLINE: Final = 20.0
"""Seconds after which a run is taken for hanging; nothing that goes well takes one."""

LONG: Final = 60.0
PATIENCE: Final = ServerTimeouts(start=15.0, call=15.0, restarts=(0.0,) * 5)


class Servers(ToolServers):
    """Tool servers that a case leaves are ended at its end, and not after ten minutes."""

    kept: frozenset[ServerAddress] = frozenset()

    def keep(self) -> None:
        """The servers that there are now stay for the cases to come."""
        self.kept = frozenset(self._servers)

    def end_idle(self) -> None:
        with self._guard:
            idle = [self._forget(address) for address in self._idle_since.keys() - self.kept]
            self._ending = [server for server in self._ending if not server.has_ended] + idle
        for server in idle:
            server.begin_close()


@dataclass(frozen=True, slots=True)
class Result:
    """A call's result, as the model is told it."""

    told: str
    error: bool
    pictures: int


NO_RESULT: Final = Result("", False, 0)


@dataclass
class Run:
    """One run, as its reader and as the model saw it."""

    events: list[dict[str, Any]]
    hung: bool
    requests: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200

    def texts(self, kind: str, key: str = "message") -> str:
        return "\n".join(str(event.get(key, "")) for event in self.events if event["type"] == kind)

    @property
    def errors(self) -> str:
        found = [event for event in self.events if event["type"] == "error"]
        return "\n".join(
            f"{event.get('code')}: {event.get('error', event.get('message'))}" for event in found
        )

    @property
    def said(self) -> str:
        return self.texts("agent_choice", "content").replace("\n", "")

    @property
    def finishes(self) -> bool:
        return not self.hung and not self.errors

    @property
    def tools(self) -> dict[str, Any]:
        """The tools of the first request, by name."""
        first = self.requests[0] if self.requests else {}
        return {tool["name"]: tool for tool in first.get("tools") or ()}

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The messages of the last request."""
        return list(self.requests[-1]["messages"]) if self.requests else []

    def results(self) -> Iterator[tuple[str, dict[str, Any], Result]]:
        """Name, arguments and result of each call since the user has spoken last, as the last request has them."""
        return _results(self.shown)

    def result(self, name: str) -> Result:
        """The newest result of a call of that name."""
        found = [result for called, _, result in self.results() if called == name]
        return found[-1] if found else NO_RESULT

    def first_result(self, name: str, **arguments: Any) -> Result:
        """The oldest result of such a call, as the model read it first: later requests may have it cut."""
        for request in self.requests:
            for called, given, result in _results(request["messages"]):
                if called == name and arguments.items() <= given.items():
                    return result
        return NO_RESULT


def _results(messages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], Result]]:
    spoken = max((at for at, message in enumerate(messages) if _is_spoken(message)), default=0)
    blocks = [block for message in messages[spoken:] for block in _blocks(message)]
    calls = {block["id"]: block for block in blocks if block["type"] == "tool_use"}
    for block in blocks:
        if block["type"] == "tool_result" and block["tool_use_id"] in calls:
            call = calls[block["tool_use_id"]]
            yield call["name"], call["input"], _result(block)


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _is_spoken(message: Mapping[str, Any]) -> bool:
    """Words of a person, and no results of tools."""
    return message["role"] == "user" and all(block["type"] != "tool_result" for block in _blocks(message))


def _result(block: Mapping[str, Any]) -> Result:
    content = block.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    words = "\n".join(part["text"] for part in parts if part["type"] == "text")
    pictures = sum(part["type"] == "image" for part in parts)
    return Result(words, bool(block.get("is_error")), pictures)


@dataclass
class Stage:
    server: Server
    model: OfflineServer
    servers: Servers
    directory: Path
    web: Web
    deadline: float = DEADLINE
    alone: bool = False
    """The case may leave a server broken, so that it shares none."""
    sharing: str = ""
    """The agent whose tool servers stay, once there is one."""
    _made: int = 0
    _agents: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> LocalClient:
        return LocalClient(self.server)

    def place(self, name: str) -> Path:
        """A new directory in which a session may work."""
        self._made += 1
        place = self.directory / "work" / f"{self._made}-{name}"
        place.mkdir(parents=True)
        return place

    def agent(self, *toolsets: Mapping[str, Any], **fields: Any) -> str:
        """The name of an agent with these toolsets, whose calls nobody is asked about. Cases share what is equal."""
        models = fields.pop("models", {})
        root = {"model": SONNET, "description": "d", "instruction": "Be brief.", **fields}
        if toolsets:
            root["toolsets"] = list(toolsets)
        text = json.dumps({"agents": {"root": root}, "models": models, "permissions": {"allow": ["*"]}})
        if text not in self._agents:
            self._agents[text] = self.team(text)
        return self._agents[text]

    def team(self, text: str | bytes) -> str:
        """The name of a new agent file."""
        self._made += 1
        name = f"case{self._made}"
        data = text.encode() if isinstance(text, str) else text
        (self.directory / "agents" / f"{name}.yaml").write_bytes(data)
        return name

    def session(self, place: Path | None = None) -> str:
        return self.client.new_session(working_dir=str(place or self.directory), tools_approved=True)

    def say(self, session: str, text: str, agent: str) -> Run:
        """A whole run, which is cut if it hangs."""
        return self.post(session, agent, [{"role": "user", "content": text}])

    def post(self, session: str, agent: str, body: Any) -> Run:
        before = self.model.stats().requests
        hung = threading.Event()

        def cut() -> None:
            hung.set()
            self.client.stop(session)

        client = self.client
        watch = threading.Timer(self.deadline, cut)
        watch.start()
        try:
            response = client.open(f"/api/sessions/{session}/agent/{agent}", body, {})
            if response.status_code != 200:
                refusal = response.get_json()
                response.close()
                return Run([{"type": "error", **refusal}], hung.is_set(), status=response.status_code)
            with LocalStream(response) as stream:
                events = stream.rest()
        finally:
            watch.cancel()
            watch.join()
        client.wait_until_free(session)
        return Run(events, hung.is_set(), self.model.requests[before:])


@contextmanager
def staged(directory: Path, model: OfflineServer) -> Iterator[Stage]:
    (directory / "agents").mkdir()
    made: list[Servers] = []

    def servers(**settings: Any) -> Servers:
        made.append(Servers(patience=PATIENCE, **settings))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.factory.ToolServers", servers)
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))  # 20 ms each
        patch.setattr(public_http, "is_public", lambda _address: True)  # the odd web answers come from here
        import_module("app.agent.tools.mcp.server_connection")
        server = build(make_settings(directory, model.url, agents=directory / "agents"))
        try:
            web = Web()
            with serving(web.serve) as web.server:
                stage = Stage(server, model, made[0], directory, web, deadline=LONG)
                stage.say(stage.session(), "[say hello]", stage.agent())  # imports what takes long
                gc.freeze()  # what was imported: each full collection would walk through it
                yield stage
                web.close()
        finally:
            server.close()
