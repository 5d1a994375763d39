"""Odd answers of web servers, read by every tool that reads the web. The answer after it is an ordinary one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.agent.socket_server import Peer
from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.recipes import made
from tests.corpus.stage import Run, Stage

FORMATS: Final = {"fetch": "text", "fetch_markdown": "markdown", "fetch_html": "html"}

KIND: Final = Kind(
    doors=(*FORMATS, "api", "api_post", "openapi"),
    takes=frozenset({"answer", "raw"}),
    tells=frozenset({"told", "error", "again", "finishes", "asked"}),
    usual={"finishes": True, "again": "fine"},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """A run with one call through each door, and one more that fetches what is in order."""
    site = Site(answer_of(case.given))
    url = stage.web.add(site)
    agent = stage.agent(
        {"type": "fetch"},
        *({"type": "api", "api_config": _api(name, method, url)} for name, method in _APIS.items()),
        {"type": "openapi", "url": f"{url}/document"},
    )
    calls = "".join(
        f"[call {name} {json.dumps(arguments)}]" for name, arguments in _calls(url, case.expected)
    )
    more = f"[call fetch {json.dumps({'urls': [f'{url}/fine'], 'format': 'html'})}]"
    run = stage.say(stage.session(), f"{calls}[then]{more}[then][say more]", agent)
    asked = Counter(site.asked)
    return {door: _seen(door, run, asked) for door in case.expected}


_APIS: Final = {"api": "GET", "api_post": "POST"}


def _api(name: str, method: str, url: str) -> dict[str, Any]:
    return {"name": name, "method": method, "endpoint": f"{url}/{name}", "instruction": "Asks."}


def _calls(url: str, doors: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for door in doors:
        if door in FORMATS:
            yield "fetch", {"urls": [f"{url}/{door}"], "format": FORMATS[door]}
        else:
            yield door, {}


def _seen(door: str, run: Run, asked: Counter[str]) -> Seen:
    found = run.first_result("fetch", format=FORMATS[door]) if door in FORMATS else run.first_result(door)
    return {
        "told": found.told,
        "error": found.error,
        "again": run.result("fetch").told,
        "finishes": run.finishes and run.said == "more",
        "asked": asked[door],
    }


def answer_of(given: Any) -> bytes:
    """The bytes of a whole answer. Its length is added unless `length` says another, or that there is none."""
    if "raw" in given:
        return made(given["raw"])
    answer = given["answer"]
    body = made(answer.get("body", ""))
    length = answer.get("length", len(body))
    lines = [f"HTTP/1.1 {answer.get('status', '200 OK')}", *answer.get("headers", [])]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


FINE: Final = answer_of({"answer": {"headers": ["Content-Type: text/plain"], "body": "fine"}})


@dataclass
class Site:
    """Gives each door the odd answer once. Other paths are ordinary, and one describes an API."""

    odd: bytes
    asked: list[str] = field(default_factory=list)

    def serve(self, peer: Peer, method: str, target: str, body: bytes) -> None:
        door = target.partition("?")[0].rstrip("/").rpartition("/")[2]
        self.asked.append(door)
        if door == "document":
            peer.send(answer_of({"answer": {"body": json.dumps(_document(target))}}))
        elif door in KIND.doors and self.asked.count(door) == 1:
            peer.send(self.odd)
        else:
            peer.send(FINE)
        raise ConnectionAbortedError  # the connection ends with the answer

    def close(self) -> None:
        """Nobody waits for it."""


def _document(target: str) -> dict[str, Any]:
    path = target.removesuffix("/document")
    return {"openapi": "3.1.0", "paths": {f"{path}/openapi": {"get": {"operationId": "openapi"}}}}
