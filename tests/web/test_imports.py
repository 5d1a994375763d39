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
        {"messages": [{"message": {"role": "narrator", "content": "Obey."}}]},
        {"messages": [{"role": "narrator", "content": "Obey."}]},
        {"messages": [{"message": "x"}]},
        {"messages": ["x"]},
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


OPENAI_CALL = {"id": "call_1", "type": "function", "function": {"name": "shell", "arguments": '{"cmd":"ls"}'}}
ANTHROPIC_IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PICTURE.partition(",")[2]},
}


def taken(client: LocalClient, *messages: Any, **more: Any) -> tuple[list[str], list[str]]:
    """The session's messages, each as role: text, calls; and what was left out."""
    response = client.ask("POST", "/api/sessions/import", {"messages": list(messages), **more})
    assert response.status_code == 200, response.text
    answer = response.get_json()
    detail = client.ask("GET", f"/api/sessions/{answer['id']}").get_json()
    said = []
    for one in detail.get("messages") or ():
        message = one["message"]
        parts = [part["type"] for part in message.get("multi_content") or ()]
        calls = [
            f"{call['function']['name']}({call['function'].get('arguments', '')})"
            for call in message.get("tool_calls") or ()
        ]
        said.append(" ".join([f"{message['role']}:", message["content"], *calls, *parts]).strip())
    assert goes_on(client, answer["id"])
    return said, answer.get("left_out", [])


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: {"message": one}], ids=["bare", "wrapped"])
def test_an_export_in_the_words_of_openais_api_is_taken(client: LocalClient, wrap: Any) -> None:
    said, left_out = taken(
        client,
        *map(
            wrap,
            [
                {"role": "system", "content": "Obey."},
                {"role": "developer", "content": [{"type": "text", "text": "Obey more."}]},
                {"role": "user", "content": "Look.", "name": "ann"},
                {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL], "refusal": None},
                {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a.txt"}]},
                {"role": "assistant", "content": "One file.", "tool_calls": None, "audio": None},
            ],
        ),
    )
    assert said == ["user: Look.", 'assistant:  shell({"cmd":"ls"})', "tool: a.txt", "assistant: One file."]
    words = "what the system said is left out: agents have instructions of their own"
    assert left_out == [f"message 0: {words}", f"message 1: {words}"]


def test_calls_of_older_and_other_programs_are_taken(client: LocalClient) -> None:
    said, left_out = taken(
        client,
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "function_call": {"name": "ls", "arguments": '{"a":1}'}},
        {"role": "function", "name": "ls", "content": "nothing"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "function": {"name": "object", "arguments": {"a": 1}}},
                {"id": "c2", "function": {"name": "none", "arguments": None}},
                {"id": "c3", "function": {"name": "empty", "arguments": ""}},
                {"id": "c4", "type": "custom", "custom": {"name": "words", "input": "x"}},
                {"id": None, "name": "flat", "args": {"b": 2}},
                "no call",
            ],
        },
        *({"role": "tool", "tool_call_id": f"c{number}", "content": str(number)} for number in (1, 2, 3, 4)),
    )
    assert said[:3] == ["user: Look.", 'assistant:  ls({"a":1})', "tool: nothing"]
    assert said[3] == 'assistant:  object({"a":1}) none({}) empty({}) words({"input":"x"}) flat({"b":2})'
    assert said[4:8] == [f"tool: {number}" for number in (1, 2, 3, 4)]
    assert left_out == ["message 3: a call that is none is left out"]


def test_arguments_that_are_no_json_stay_visible(client: LocalClient) -> None:
    call = {"id": "call_1", "function": {"name": "shell", "arguments": '{"cmd":'}}
    said, _ = taken(client, {"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]})
    assert said[1] == 'assistant:  shell({"INVALID_JSON":"{\\"cmd\\":"})'


def test_content_of_several_parts_is_taken_and_what_has_no_place_is_named(client: LocalClient) -> None:
    said, left_out = taken(
        client,
        {
            "role": "user",
            "content": [
                "bare",
                {"type": "input_text", "text": "See."},
                {"type": "image_url", "image_url": PICTURE},
                {"type": "input_image", "image_url": PICTURE},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
                {"type": "file", "file": {"file_id": "x"}},
                7,
            ],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "I see."}]},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": None, "refusal": "I will not."},
    )
    assert said == [
        "user: bareSee. text text image_url image_url image_url",
        "assistant: I see.",
        "user: And?",
        "assistant: I will not.",
    ]
    assert left_out == [
        "message 0: a part of type 'input_audio' is left out",
        "message 0: a part of type 'file' is left out",
        "message 0: a part without a type is left out",
    ]


def test_an_export_in_the_words_of_anthropics_api_is_taken(client: LocalClient) -> None:
    said, left_out = taken(
        client,
        {"role": "user", "content": [{"type": "text", "text": "Look."}, ANTHROPIC_IMAGE]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "shell", "input": {"cmd": "ls"}},
                {"type": "tool_use", "id": "toolu_2", "name": "shell", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such", "is_error": True},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [ANTHROPIC_IMAGE]},
                {"type": "text", "text": "Well?"},
            ],
        },
        system="Obey.",
        model="claude",
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert said[0] == "user: Look. text image_url"
    assert said[1] == 'assistant: I look. shell({"cmd":"ls"}) shell({})'
    assert (said[2], said[3].endswith("image_url"), said[4]) == ("tool: no such", True, "user: Well?")
    assert left_out == [
        "system: left out, for agents have instructions of their own",
        "message 1: thinking is left out",
    ]


def test_what_was_left_out_is_told_shortly_and_again_when_the_request_is_repeated(
    client: LocalClient,
) -> None:
    body = {"messages": [{"role": "system", "content": "x"}] * 1000 + [{"role": "user", "content": "x"}]}
    headers = {"Idempotency-Key": "twice"}
    first, again = (
        client.ask("POST", "/api/sessions/import", body, headers=headers).get_json() for _ in range(2)
    )
    assert first == again
    assert (len(first["left_out"]), first["left_out"][-1]) == (21, "and 980 more")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": 7},
        {
            "role": "user",
            "content": {"a": 1},
            "multi_content": "x",
            "tool_calls": 1,
            "usage": [],
            "cost": "x",
        },
        {"role": "assistant", "content": "x\0y", "model": "a\0b", "created_at": 1e300, "is_error": "no"},
        {"role": "tool", "content": [[]], "tool_call_id": 5},
        {"role": "assistant", "tool_calls": [{"id": "a\0", "function": {"name": "x" * 10_000}}]},
        {
            "role": "human",
            "content": [{"type": 5}, {"type": "text"}, {"type": "tool_result"}, {"type": "tool_use"}],
        },
    ],
)
def test_a_known_role_is_all_that_a_message_needs(client: LocalClient, message: dict[str, Any]) -> None:
    taken(client, message, {"role": "user", "content": "Go on."})
