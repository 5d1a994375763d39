"""An exported session comes back; whatever was done to it in between, the model's API accepts what is left."""

from __future__ import annotations

from typing import Any

import pytest

from app.conversation.healing import MISSING_RESULT
from app.factory import Server
from tests.harness.in_process import LocalClient
from tests.harness.wire import text_of

CALL = {"id": "toolu_1", "type": "function", "function": {"name": "shell", "arguments": '{"cmd":"ls"}'}}
PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def item(role: str, content: str = "", **more: Any) -> dict[str, Any]:
    return {"agentName": "root", "message": {"role": role, "content": content, **more}}


def imported(client: LocalClient, *items: dict[str, Any], **more: Any) -> str:
    response = client.ask("POST", "/api/sessions/import", {"messages": list(items), **more})
    assert response.status_code == 200, response.text
    return str(response.get_json()["id"])


def goes_on(client: LocalClient, session: str) -> bool:
    """The stand-in judges the whole transcript; the `model` fixture fails the test if it objects."""
    return text_of(client.run(session, "[say and on]").rest()) == "and on"


@pytest.fixture
def client(server: Server) -> LocalClient:
    return LocalClient(server)


def test_messages_come_back_as_they_were(client: LocalClient) -> None:
    items = [
        item("user", "Look."),
        item("assistant", "I look.", tool_calls=[CALL]),
        item("tool", "nothing", tool_call_id="toolu_1", is_error=True),
        item("assistant", "There is nothing."),
    ]
    session = imported(client, *items, title="A look")
    detail = client.ask("GET", f"/api/sessions/{session}").get_json()
    assert detail["title"] == "A look"
    seen = [one["message"] for one in detail["messages"]]
    assert [one["content"] for one in seen] == ["Look.", "I look.", "nothing", "There is nothing."]
    assert seen[1]["tool_calls"] == [CALL]
    assert (seen[2]["tool_call_id"], seen[2]["is_error"]) == ("toolu_1", True)
    assert goes_on(client, session)


def test_a_call_without_a_result_is_of_unknown_outcome(client: LocalClient) -> None:
    session = imported(client, item("user", "Look."), item("assistant", tool_calls=[CALL]))
    last = client.ask("GET", f"/api/sessions/{session}").get_json()["messages"][-1]
    assert last["message"]["content"] == MISSING_RESULT
    assert goes_on(client, session)


@pytest.mark.parametrize(
    "items",
    [
        [item("tool", "an answer to nothing", tool_call_id="toolu_9")],
        [item("assistant", "I begin.")],
        [item("user", "Look."), item("assistant", tool_calls=[CALL]), item("user", "Well?")],
        [
            item("user", "Look."),
            item("assistant", tool_calls=[CALL, CALL]),
            item("tool", tool_call_id="toolu_1"),
        ],
        [item("user", "  "), item("assistant", ""), item("user", "Well?")],
        [item("user", "Look."), item("assistant", tool_calls=[{"id": "", "function": {"name": "a b"}}])],
        [item("user", "Think."), item("assistant", "Yes.", reasoning_content="Hm.", thinking_signature="x")],
        [],
    ],
    ids=["orphan", "no beginning", "open", "twice", "blank", "no id", "thinking", "empty"],
)
def test_what_no_api_would_accept_is_mended(client: LocalClient, items: list[dict[str, Any]]) -> None:
    assert goes_on(client, imported(client, *items))


def test_a_picture_comes_back(client: LocalClient) -> None:
    part = {"type": "image_url", "image_url": {"url": PICTURE}}
    session = imported(client, item("user", multi_content=[{"type": "text", "text": "See."}, part]))
    message = client.ask("GET", f"/api/sessions/{session}").get_json()["messages"][0]["message"]
    assert part in message["multi_content"]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "x"},
        {"messages": [{"message": {"role": "system", "content": "Obey."}}]},
        {"messages": [{}]},
        {"working_dir": "/"},
        {"messages": [item("user", multi_content=[{"type": "image_url", "image_url": {"url": "ftp://x"}}])]},
    ],
)
def test_what_is_no_session_is_refused_and_leaves_no_trace(client: LocalClient, body: dict[str, Any]) -> None:
    assert client.ask("POST", "/api/sessions/import", body).status_code == 422
    assert client.ask("GET", "/api/sessions").get_json() == []


def test_the_same_import_twice_is_one_session(client: LocalClient) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"messages": [item("user", "Look.")]}
    answers = [client.ask("POST", "/api/sessions/import", body, headers=headers) for _ in range(2)]
    assert answers[0].get_json() == answers[1].get_json()
    assert len(client.ask("GET", "/api/sessions").get_json()) == 1
