"""Odd pictures, by every way on which a picture can come."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.play_tool_servers import JSON, answering
from tests.corpus.recipes import made
from tests.corpus.stage import Run, Stage

MESSAGE: Final = "message"
FOLLOW_UP: Final = "followup"
ADDED: Final = "messages"
IMPORT: Final = "import"
RESULT: Final = "imported_result"
FILE: Final = "read_file"
TOOL_RESULT: Final = "mcp"
RESOURCE: Final = "mcp_resource"

_BODIES: Final = (MESSAGE, FOLLOW_UP, ADDED, IMPORT, RESULT)

KIND: Final = Kind(
    doors=(*_BODIES, FILE, TOOL_RESULT, RESOURCE),
    takes=frozenset({"picture", "says", "data", "count"}),
    tells=frozenset({"pictures", "told", "status", "again", "finishes"}),
    usual={"again": "more", "finishes": True},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """`picture` are its bytes, `says` the type that it claims to have, `data` how it is written down if not in plain
    base64, `count` how many of it come at once."""
    picture = made(case.given["picture"])
    kind = case.given.get("says", "image/png")
    data = made(case.given["data"]).decode() if "data" in case.given else base64.b64encode(picture).decode()
    count = case.given.get("count", 1)
    seen: dict[str, Seen] = {}
    for door in case.expected:
        if door in _BODIES:
            seen[door] = _posted(
                stage, door, data if data.startswith("data:") else f"data:{kind};base64,{data}", count
            )
        else:
            seen[door] = _called(stage, door, picture, kind, data, count)
    return seen


def _posted(stage: Stage, door: str, url: str, count: int) -> Seen:
    agent, session = stage.agent({"type": "filesystem"}), stage.session()
    parts = [{"type": "text", "text": "look"}, *[{"type": "image_url", "image_url": {"url": url}}] * count]
    message = {"role": "user", "multi_content": parts}
    call = {"id": "c1", "function": {"name": "read_file", "arguments": "{}"}}
    bodies: dict[str, tuple[str, Any]] = {
        MESSAGE: (f"{session}/agent/{agent}", [message]),
        FOLLOW_UP: (f"{session}/followup", [message]),
        ADDED: (f"{session}/messages", {"message": message}),
        IMPORT: ("import", {"messages": [{"message": message}]}),
        RESULT: (
            "import",
            {
                "messages": [
                    {"message": {"role": "user", "content": "look"}},
                    {"message": {"role": "assistant", "tool_calls": [call]}},
                    {"message": {"role": "tool", "tool_call_id": "c1", "multi_content": parts}},
                ]
            },
        ),
    }
    path, body = bodies[door]
    response = stage.server.app.test_client().post(f"/api/sessions/{path}", json=body)
    text = response.get_data(as_text=True)
    response.close()
    if "import" in path and response.status_code == 200:
        session = json.loads(text)["id"]
    stage.client.wait_until_free(session)
    again = stage.say(session, "[say more]", agent)
    told = json.dumps(again.shown, ensure_ascii=False) if response.status_code < 300 else text
    return {"status": response.status_code, **_seen(again), "told": told}


def _called(stage: Stage, door: str, picture: bytes, kind: str, data: str, count: int) -> Seen:
    place = stage.place("picture")
    session = stage.session(place)
    if door == FILE:
        (place / "picture").write_bytes(picture)
        agent = stage.agent({"type": "filesystem"})
        calls = '[call read_file {"path": "picture"}]' * count
    else:
        content: dict[str, Any] = {"type": "image", "data": data, "mimeType": kind}
        if door == RESOURCE:
            content = {"type": "resource", "resource": {"uri": "a:b", "mimeType": kind, "blob": data}}
        agent, calls = (
            answering(stage, place, {"result": {"content": [content] * count}}),
            f"[call {JSON}_go {{}}]",
        )
    first = stage.say(session, f"{calls}[then][say done]", agent)
    again = stage.say(session, "[say more]", agent)
    told = "\n".join(result.told for _, _, result in first.results())
    return {
        "status": first.status,
        **_seen(again),
        "told": told,
        "finishes": first.finishes and again.finishes,
    }


def _seen(again: Run) -> dict[str, Any]:
    return {
        "pictures": json.dumps(again.shown).count('"type": "image"'),
        "again": again.said,
        "finishes": again.finishes,
    }
