"""Odd streams of the model, frame by frame. The requests after it go to the stand-in, which judges what was kept."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.agent.socket_server import Peer
from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.play_web import answer_of
from tests.corpus.recipes import made
from tests.corpus.stage import Stage

RUN: Final = "run"
FALLBACK: Final = "fallback"

KIND: Final = Kind(
    doors=(RUN, FALLBACK),
    takes=frozenset({"frames", "answer", "times"}),
    tells=frozenset(
        {"said", "told", "error", "calls", "errors", "kept", "asked", "again", "finishes", "model"}
    ),
    usual={"again": "more", "finishes": True},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """For each door a session: the odd stream first, then an ordinary turn. `run` has one model, `fallback` another
    one behind it."""
    return {door: _play(case, stage, door) for door in case.expected}


def _play(case: Case, stage: Stage, door: str) -> Seen:
    odd = stage.web.places.setdefault("model", Model(urlsplit(stage.model.url).netloc))
    assert isinstance(odd, Model)
    odd.begin(_answer(case), case.given.get("times", 1))
    models = {
        "odd": {
            "provider": "anthropic",
            "model": "claude-sonnet-5-5",
            "base_url": stage.web.address("model"),
        },
        "other": {"provider": "anthropic", "model": "claude-haiku-5-5"},
    }
    more = (
        {"fallback": {"models": ["other"], "retries": -1}}
        if door == FALLBACK
        else {"fallback": {"retries": -1}}
    )
    place = stage.place(case.name)
    (place / "a.txt").write_text("what is in it")
    agent = stage.agent({"type": "filesystem"}, model="odd", models=models, **more)
    session = stage.session(place)
    first = stage.say(session, "Go on.", agent)
    again = stage.say(session, "[say more]", agent)
    kept = [message for message in stage.client.messages(session) if message["role"] == "assistant"]
    results = list(first.results())
    return {
        "said": first.said,
        "told": "\n".join(result.told for _, _, result in results),
        "error": any(result.error for _, _, result in results),
        "calls": [name for name, _, _ in results],
        "errors": first.errors,
        "kept": json.dumps(kept[:1], ensure_ascii=False),
        "asked": odd.asked,
        "again": again.said,
        "finishes": first.finishes and again.finishes,
        "model": first.texts("agent_info", "model"),
    }


def _answer(case: Case) -> bytes:
    if "answer" in case.given:
        return answer_of(case.given)
    frames = b"".join(_frame(frame) for frame in case.given["frames"])
    return answer_of({"answer": {"headers": ["Content-Type: text/event-stream"], "length": None}}) + frames


def _frame(frame: Any) -> bytes:
    """A frame as a case writes it: a whole block in short, an event by its fields, or bytes as they are."""
    match frame:
        case "start":
            usage = {"input_tokens": 5, "output_tokens": 1}
            message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
            return _event({"type": "message_start", "message": {**message, "model": "claude-sonnet-5-5"}})
        case "end":
            return _event({"type": "message_stop"})
        case {"stop": reason}:
            delta = {"stop_reason": reason, "stop_sequence": None}
            return _event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}})
        case {"text": list(parts)}:
            deltas = [{"type": "text_delta", "text": part} for part in parts]
            return _block(frame.get("index", 0), {"type": "text", "text": ""}, deltas)
        case {"call": name}:
            block = {"type": "tool_use", "id": frame.get("id", "toolu_1"), "name": name, "input": {}}
            parts = frame.get("json", ["", "{}"])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            return _block(frame.get("index", 0), block, deltas)
        case {"event": fields}:
            return _event(fields)
        case {"raw": part}:
            return made(part)
    raise ValueError(f"no frame: {frame!r}")


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> bytes:
    start = {"type": "content_block_start", "index": index, "content_block": block}
    events = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return b"".join(map(_event, [start, *events, {"type": "content_block_stop", "index": index}]))


def _event(fields: dict[str, Any]) -> bytes:
    """A `%u` stands for a backslash and a u, so that a case can write half a character."""
    data = json.dumps(fields, ensure_ascii=False).replace("%u", "\\u")
    return f"event: {fields.get('type')}\ndata: {data}\n\n".encode()


@dataclass
class Model:
    """Gives the odd answer the first `times`, and passes on what is asked after that. One address serves all cases, as
    the server keeps a client for each."""

    behind: str
    odd: bytes = b""
    times: int = 0
    asked: int = 0

    def begin(self, odd: bytes, times: int) -> None:
        self.odd, self.times, self.asked = odd, times, 0

    def serve(self, peer: Peer, method: str, target: str, body: bytes) -> None:
        self.asked += 1
        peer.send(self.odd if self.asked <= self.times else self._passed_on(peer, method, target, body))
        raise ConnectionAbortedError  # the connection ends with the answer

    def close(self) -> None:
        """Nobody waits for it."""

    def _passed_on(self, peer: Peer, method: str, target: str, body: bytes) -> bytes:
        headers = {
            name: value
            for name, value in peer.server.requests[-1].headers.items()
            if name.startswith("anthropic") or name in ("x-api-key", "authorization", "content-type")
        }
        behind = http.client.HTTPConnection(self.behind)
        try:
            behind.request(method, target[target.index("/v1") :], body, headers)
            answer = behind.getresponse()
            kind = f"Content-Type: {answer.headers['Content-Type']}"
            status = f"{answer.status} {answer.reason}"
            return answer_of(
                {"answer": {"status": status, "headers": [kind], "body": answer.read().decode()}}
            )
        finally:
            behind.close()
