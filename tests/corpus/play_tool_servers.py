"""Tool servers that say odd things: over pipes, and over HTTP as JSON, as a stream, and as the older kind of stream."""

from __future__ import annotations

import json
import queue
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.agent.socket_server import Peer
from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.mouth import TOOL, Mouth
from tests.corpus.recipes import made
from tests.corpus.stage import Run, Stage

PIPE: Final = "pipe"
JSON: Final = "json"
STREAM: Final = "stream"
SSE: Final = "sse"

KIND: Final = Kind(
    doors=(PIPE, JSON, STREAM, SSE),
    takes=frozenset({"says", "tools", "call"}),
    tells=frozenset({"told", "error", "pictures", "again", "warns", "offered", "asked", "heard", "finishes"}),
    usual={"finishes": True, "again": "fine"},
)

_PROGRAM: Final = str(Path(__file__).parent / "mouth.py")


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """A run of an agent that knows the server by all doors, with two rounds of calls. A case that is odd in the answer
    to a call only shares its servers with others like it."""
    shared = _is_odd_in_calls_only(case) and not stage.alone
    place = stage.place(case.name)
    scripts = {door: (stage.directory if shared else place) / f"{door}.script" for door in case.expected}
    logs = {door: place / f"{door}.log" for door in case.expected}
    for door in case.expected:
        write_script(scripts[door], logs[door], case.given.get("says", {}), case.given.get("tools", [TOOL]))
    if not shared:
        agent = _agent(stage, scripts)
    else:
        agent = stage.sharing = stage.sharing or _sharing(stage, place)
    called, arguments = next(iter(case.given.get("call", {"go": {}}).items()))
    calls = "".join(f"[call {door}_{called} {json.dumps(arguments)}]" for door in logs)
    session = stage.session()
    run = stage.say(session, f"{calls}[then]{calls}[then][say more]", agent)
    stage.servers.end_idle()
    return {
        door: {**seen_of(run, door, called), **_heard(log, connected=shared)} for door, log in logs.items()
    }


def _is_odd_in_calls_only(case: Case) -> bool:
    says = case.given.get("says", {})
    ends = any(word in repr(says) for word in ("'exit'", "'http'"))
    return not ends and all(method.startswith("tools/call") for method in says) and "tools" not in case.given


def _sharing(stage: Stage, place: Path) -> str:
    """An agent with servers that stay, and that are connected already."""
    scripts = {door: stage.directory / f"{door}.script" for door in KIND.doors}
    before = {door: script.read_bytes() for door, script in scripts.items() if script.exists()}
    for door, script in scripts.items():
        write_script(script, place / f"{door}.first.log", {}, [TOOL])
    agent = _agent(stage, scripts)
    stage.say(stage.session(), "[say hello]", agent)
    stage.servers.keep()
    for door, data in before.items():
        scripts[door].write_bytes(data)
    return agent


def answering(stage: Stage, place: Path, line: Any) -> str:
    """An agent with the servers that cases share, whose tool gives this answer to the next call through `json`."""
    agent = stage.sharing = stage.sharing or _sharing(stage, place)
    write_script(stage.directory / f"{JSON}.script", place / "log", {"tools/call": line}, [TOOL])
    return agent


def _agent(stage: Stage, scripts: Mapping[str, Path]) -> str:
    """It has a tool of its own as well: without any the model would not call what is missing."""
    servers = (toolset_at(stage, door, script) for door, script in scripts.items())
    return stage.agent({"type": "think"}, *servers)


def write_script(script: Path, log: Path, says: Mapping[str, Any], tools: list[Any]) -> None:
    log.touch()
    actions = {method: actions_of(lines) for method, lines in says.items()}
    script.write_text(json.dumps({"says": actions, "tools": tools, "log": str(log)}))


def seen_of(run: Run, door: str, called: str) -> dict[str, Any]:
    name = f"{door}_{called}"
    result = run.first_result(name)
    return {
        "told": result.told,
        "error": result.error,
        "pictures": result.pictures,
        "again": run.result(name).told,
        "warns": run.texts("warning"),
        "offered": sorted(tool[len(door) + 1 :] for tool in run.tools if tool.startswith(f"{door}_")),
        "finishes": run.finishes and run.said == "more",
    }


def _heard(log: Path, *, connected: bool) -> dict[str, Any]:
    """The server's log; a connection that was there before counts as one that was made."""
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    calls = [one["params"].get("arguments") for one in requests if one.get("method") == "tools/call"]
    asked = {"initialize": 0, "tools/list": 0, **Counter(one.get("method", "") for one in requests)}
    if connected:
        asked["initialize"] += 1
    return {"asked": asked, "heard": json.dumps(calls)}


def toolset_at(stage: Stage, door: str, script: Path, name: str | None = None) -> dict[str, Any]:
    """The server that this script describes, at this door; its tools are named after the door."""
    found = {"type": "mcp", "name": door if name is None else name}
    if door == PIPE:
        return {**found, "command": sys.executable, "args": ["-I", "-S", _PROGRAM, str(script)]}
    url = stage.web.add(Talk(Mouth(str(script)), door))
    return {**found, "remote": {"url": url, "transport_type": SSE if door == SSE else "streamable"}}


def actions_of(lines: Any) -> list[dict[str, Any]]:
    return [_action(line) for line in (lines if isinstance(lines, list) else [lines])]


def _action(line: Any) -> dict[str, Any]:
    """A line of a case as the mouth takes it: bytes are written as Latin-1 there."""
    match line:
        case {"exit": _} | {"complain": _}:
            return dict(line)
        case {"http": answer}:
            return {"http": {**answer, "body": made(answer.get("body", "")).decode("latin-1")}}
        case {"result": _} | {"error": _}:
            # the id stays a word here, which the mouth replaces
            said = json.dumps({"jsonrpc": "2.0", "id": "$ID", **line}).replace('"$ID"', "$ID")
            return {"say": said}
        case {"unended": part}:
            return {"say": made(part).decode("latin-1"), "ends": False}
        case _:
            return {"say": made(line).decode("latin-1")}


@dataclass
class Talk:
    """One remote tool server: each request has a connection of its own."""

    mouth: Mouth
    door: str
    stream: queue.SimpleQueue[bytes | None] = field(default_factory=queue.SimpleQueue)
    """For the client, on the newest stream of the older kind; None ends it."""

    def serve(self, peer: Peer, method: str, path: str, body: bytes) -> None:
        if method == "GET" and self.door == SSE:
            self._stream(peer, path)
        elif method != "POST":
            peer.answer(b"", status="405 Method Not Allowed")
        else:
            self._answer(peer, json.loads(body))

    def close(self) -> None:
        self.stream.put(None)

    def _stream(self, peer: Peer, path: str) -> None:
        """The older kind: all answers come on the one stream that the client has opened first."""
        self.close()  # a new connection has come in the place of the last
        stream = self.stream = queue.SimpleQueue()
        peer.head("content-type: text/event-stream", "connection: close")
        peer.send(f"event: endpoint\ndata: {path}\n\n".encode())
        while (data := stream.get()) is not None:
            peer.send(data)
        raise ConnectionAbortedError

    def _answer(self, peer: Peer, request: dict[str, Any]) -> None:
        actions = self.mouth.answer(request)
        said = [action["say"].encode("latin-1") for action in actions if "say" in action]
        whole = next((action["http"] for action in actions if "http" in action), None)
        if whole is not None:
            peer.answer(
                whole["body"].encode("latin-1"),
                *whole.get("headers", ["content-type: application/json"]),
                status=whole["status"],
            )
        elif any("exit" in action for action in actions):
            self.stream.put(None)
            raise ConnectionAbortedError
        elif self.door == SSE:
            peer.answer(b"", status="202 Accepted")
            for line in said:
                self.stream.put(event(line))
        elif "id" not in request or "method" not in request:
            peer.answer(b"", status="202 Accepted")
        else:
            session = ["mcp-session-id: s1"] if request["method"] == "initialize" else []
            kind, data = "application/json", b"".join(said[-1:])
            if self.door == STREAM:
                kind, data = "text/event-stream", b"".join(map(event, said))
            peer.answer(data, f"content-type: {kind}", *session)


def event(line: bytes) -> bytes:
    return b"event: message\n" + b"".join(b"data: %b\n" % part for part in line.split(b"\n")) + b"\n"
