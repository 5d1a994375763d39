"""Odd bodies of requests: what is said to an agent, by every route that takes it, and what is imported."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.recipes import made
from tests.corpus.stage import Stage

RUN: Final = "run"
FOLLOW_UP: Final = "followup"
ADDED: Final = "messages"
IMPORT: Final = "import"

KIND: Final = Kind(
    doors=(RUN, FOLLOW_UP, ADDED, IMPORT),
    takes=frozenset({"message", "messages", "body"}),
    tells=frozenset({"status", "refusal", "shown", "again", "finishes", "pictures"}),
    usual={"again": "more", "finishes": True},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """Posts it to a new session by each door, and then says something ordinary there, whatever came of it."""
    return {door: _play(case, stage, door) for door in case.expected}


def _play(case: Case, stage: Stage, door: str) -> Seen:
    agent = stage.agent({"type": "filesystem"})
    session = stage.session()
    path = {
        RUN: f"/api/sessions/{session}/agent/{agent}",
        FOLLOW_UP: f"/api/sessions/{session}/followup",
        ADDED: f"/api/sessions/{session}/messages",
        IMPORT: "/api/sessions/import",
    }[door]
    http = stage.server.app.test_client()
    response = http.post(path, data=_body(case, door), content_type="application/json")
    text = response.get_data(as_text=True)
    response.close()
    answer = json.loads(text) if response.mimetype == "application/json" else {}
    if door == IMPORT and response.status_code == 200:
        session = answer["id"]
    stage.client.wait_until_free(session)
    again = stage.say(session, "[say more]", agent)
    shown = json.dumps(again.shown, ensure_ascii=False)
    return {
        "status": response.status_code,
        "refusal": f"{answer.get('code')}: {answer.get('message')}",
        "shown": shown,
        "pictures": shown.count('"type": "image"'),
        "again": again.said,
        "finishes": again.finishes,
    }


def _body(case: Case, door: str) -> bytes:
    """`messages` are a whole transcript, `message` one of them; `body` is bytes for any door."""
    if "body" in case.given:
        return made(case.given["body"])
    if "message" in case.given:
        message = {"role": "user", **case.given["message"]}
        bodies: dict[str, Any] = {
            ADDED: {"message": message},
            IMPORT: {"messages": [{"message": message}]},
        }
        return json.dumps(bodies.get(door, [message])).encode()
    messages = [one if "message" in one else {"message": one} for one in case.given["messages"]]
    return json.dumps({"messages": messages} if door == IMPORT else case.given["messages"]).encode()
