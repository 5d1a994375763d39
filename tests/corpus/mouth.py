"""A tool server that says exactly what a case says. As a program it speaks over its pipes; it is started for each case,
so it imports next to nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

TOOL = {
    "name": "go",
    "description": "Goes.",
    "inputSchema": {"type": "object", "properties": {"where": {"type": "string"}}},
}


class Mouth:
    """`script` has `says`: actions by method and number (`tools/call 2`), or `*` for every number; `tools`; and `log`,
    the file that gets each request as a line. All else is answered as any server would. It is
    read anew for each request, so that cases can share a server."""

    def __init__(self, script: str) -> None:
        self._path = script
        self.read()

    def read(self) -> None:
        with open(self._path) as file:
            script = json.load(file)
        self.says: dict[str, list[dict[str, Any]]] = script["says"]
        self.tools: list[Any] = script["tools"]
        self.log: str = script["log"]

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Actions: what to `say` (Latin-1 stands for bytes), an `exit`, or a whole `http` answer."""
        self.read()
        method = request.get("method", "")
        number = self._count(request)
        for key in (f"{method} {number}", f"{method} *", method if number == 1 else ""):
            if key in self.says:
                return [_filled(action, request) for action in self.says[key]]
        return [{"say": json.dumps(answer)} for answer in self._ordinary(method, request)]

    def _count(self, request: dict[str, Any]) -> int:
        with open(self.log, "a+") as file:
            file.write(json.dumps(request) + "\n")
            file.seek(0)
            methods = [json.loads(line).get("method") for line in file]
        return methods.count(request.get("method"))

    def _ordinary(self, method: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        if "id" not in request or "method" not in request:
            return []
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": request.get("params", {}).get("protocolVersion"),
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "corpus", "version": "1"},
            },
            "tools/list": {"tools": self.tools},
            "tools/call": {"content": [{"type": "text", "text": "fine"}]},
            "ping": {},
        }
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if method in results:
            return [{**answer, "result": results[method]}]
        return [{**answer, "error": {"code": -32601, "message": "Method not found"}}]


def _filled(action: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    if "say" not in action:
        return action
    said = action["say"].replace("$ID", json.dumps(request.get("id")))
    token = request.get("params", {}).get("_meta", {}).get("progressToken")
    return {**action, "say": said.replace("$TOKEN", json.dumps(token))}


def _perform(actions: list[dict[str, Any]]) -> None:
    for action in actions:
        if "say" in action:
            sys.stdout.buffer.write(action["say"].encode("latin-1") + b"\n" * action.get("ends", True))
            sys.stdout.buffer.flush()
        elif "complain" in action:
            sys.stderr.write(action["complain"] + "\n")
            sys.stderr.flush()
        elif "exit" in action:
            sys.exit(action["exit"])


def main(script: str) -> None:
    mouth = Mouth(script)
    _perform(mouth.says.get("start", []))
    for line in sys.stdin.buffer:
        _perform(mouth.answer(json.loads(line)))


if __name__ == "__main__":
    main(sys.argv[1])
