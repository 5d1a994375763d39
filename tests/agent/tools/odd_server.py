"""A tool server that says exactly what a test wants, over its pipes. It needs no package, so it starts at once.

Its one argument is a JSON file: `tools` to list, `before` to say at the start, `dies` with these last words. The tool
`say` says its argument `line`, in which ID stands for the call's id and <FF> for a byte that is not UTF-8.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def write(words: str) -> None:
    sys.stdout.buffer.write(words.encode().replace(b"<FF>", b"\xff"))
    sys.stdout.buffer.flush()


def answer(asked: Any, result: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + "\n")


def main(wanted: dict[str, Any]) -> None:
    if "dies" in wanted:
        sys.stderr.write(wanted["dies"])
        sys.exit(3)
    write(wanted.get("before", ""))
    for line in sys.stdin:
        asked = json.loads(line)
        match asked.get("method"):
            case "initialize":
                version = asked["params"]["protocolVersion"]
                server = {"name": "odd", "version": "1"}
                introduced = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
                answer(asked, wanted.get("introduction", introduced))
            case "tools/list":
                say = {"name": "say", "inputSchema": {"type": "object"}}
                answer(asked, wanted.get("list", {"tools": [say, *wanted.get("tools", [])]}))
            case "tools/call" if asked["params"]["name"] == "say":
                said = asked["params"]["arguments"]["line"]
                write(said.replace("ID", str(asked["id"])))
            case "tools/call":
                words = json.dumps(asked["params"]["arguments"])
                answer(asked, {"content": [{"type": "text", "text": words}]})


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        main(json.load(file))
