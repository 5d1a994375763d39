"""Bodies, query parameters and headers of requests: any JSON, any bytes, through the whole server."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.anthropic.turn_accumulator import _input
from app.factory import Server
from tests.fuzz.limits import bounded, joined, large, tries

SESSION_ROUTES: Final = (
    *(
        ("PATCH", "title"),
        ("PATCH", "starred"),
        ("PATCH", "tokens"),
        ("PATCH", "permissions"),
        ("PATCH", "budget"),
        ("PATCH", "model"),
        ("POST", "branches"),
        ("PATCH", "delegation-policy"),
        ("POST", "switch-agent"),
        ("PATCH", "thinking-level"),
    ),
    *(
        ("POST", "messages"),
        ("PATCH", "messages/0"),
        ("POST", "summaries"),
        ("POST", "undo"),
        ("POST", "steer"),
        ("POST", "followup"),
    ),
    *(
        ("POST", "resume"),
        ("POST", "elicitation"),
        ("POST", "cancel"),
        ("POST", "retry"),
        ("POST", "pause"),
        ("POST", "compact"),
        ("POST", "turns/0/wait"),
        ("POST", "fork"),
        ("POST", "tools/toggle"),
    ),
)
ROUTES: Final = (
    *((method, f"/api/sessions/{{}}/{path}") for method, path in SESSION_ROUTES),
    *(("POST", "/api/sessions"), ("POST", "/api/sessions/import"), ("POST", "/api/sessions/delete")),
    *(("POST", "/api/sessions/export"), ("POST", "/api/runs/x/release")),
)
KEYS = st.sampled_from(
    (
        *(
            "message",
            "messages",
            "content",
            "multi_content",
            "multiContent",
            "type",
            "text",
            "image_url",
            "document",
            "source",
            "inline_data",
            "mime_type",
            "url",
        ),
        *(
            "file",
            "role",
            "agentName",
            "title",
            "starred",
            "input_tokens",
            "output_tokens",
            "permissions",
            "allow",
        ),
        *(
            "deny",
            "budget",
            "confirmation",
            "action",
            "call_id",
            "reason",
            "tool_name",
            "session_ids",
            "summary",
        ),
        *("tool_calls", "function", "name", "id", "arguments", "created_at", "usage", "cost", "is_error"),
        *(
            "working_dir",
            "max_iterations",
            "user_message_index",
            "tool_call_id",
            "partial",
            "model",
            "thinking",
        ),
    )
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(
        (
            "user",
            "assistant",
            "tool",
            "accept",
            "approve",
            "text",
            "image_url",
            "document",
            "application/pdf",
            "\0",
            "2026-01-01",
            "{}",
        )
    ),
    st.sampled_from(
        ("data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,é", "https://x/y", "..", "/", "*")
    ),
    st.sampled_from(
        ("data:image/jpeg;base64,/9j//9g=", "data:image/webp;base64,UklGRgAAAABXRUJQ", "0001-01-01")
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=5),
    max_leaves=15,
)
CHATS = st.fixed_dictionaries(
    {"role": st.sampled_from(("user", "assistant", "tool"))},
    optional={
        "content": TEXTS,
        "multi_content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(("text", "image_url", "document"))}, optional={"text": TEXTS}
            ),
            max_size=2,
        ),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {
                    "id": TEXTS,
                    "function": st.fixed_dictionaries({"name": TEXTS, "arguments": VALUES.map(json.dumps)}),
                }
            ),
            max_size=2,
        ),
        "tool_call_id": TEXTS,
        "created_at": TEXTS,
    },
)
IMPORTS = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"message": CHATS}, optional={"agentName": TEXTS}), max_size=4
        )
    }
)
TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b'"a":',
    b'"',
    b",",
    b"1",
    b"1e999",
    b"-",
    b"\\ud800",
    b"\xff",
    b"null",
    b"\0",
    b" ",
)


def deep(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def assert_answered(server: Server, method: str, path: str, body: bytes, **headers: str) -> Any:
    """A refusal in JSON, or the request's outcome; never a failure of the server's own."""
    with bounded():
        answer = server.app.test_client().open(
            path, method=method, data=body, content_type="application/json", headers=headers
        )
    assert answer.status_code < 500, (method, path, body[:200], answer.data[:200])
    assert not body or len(answer.data) < 10_000 + 20 * len(body)
    return answer


def new_session(server: Server) -> str:
    return str(server.app.test_client().post("/api/sessions", json={}).get_json()["id"])


def test_any_json_is_answered_by_each_route(server: Server) -> None:
    session = new_session(server)

    @tries(120)
    @given(st.sampled_from(ROUTES), VALUES)
    def each(route: tuple[str, str], value: Any) -> None:
        assert_answered(server, route[0], route[1].format(session), json.dumps(value).encode())

    each()


def test_any_bytes_are_answered(server: Server) -> None:
    session = new_session(server)

    @tries(60)
    @given(st.sampled_from(ROUTES), st.one_of(st.binary(max_size=60), joined(TOKENS), large(TOKENS)))
    def each(route: tuple[str, str], body: bytes) -> None:
        assert_answered(server, route[0], route[1].format(session), body)

    each()


@pytest.mark.parametrize("depth", [90, 110, 250, 260, 1000])
def test_json_of_any_depth_is_answered(server: Server, depth: int) -> None:
    session = new_session(server)
    part = f'{{"type":"text","text":"a","file":{deep(depth)}}}'
    bodies = {
        "elicitation": f'{{"action":"accept","content":{deep(depth)}}}',
        "messages": f'{{"message":{{"role":"user","multi_content":[{part}]}}}}',
        "steer": f'{{"messages":[{{"multi_content":[{part}]}}]}}',
    }
    for path, body in bodies.items():
        assert_answered(server, "POST", f"/api/sessions/{session}/{path}", body.encode())
    call = {"id": "a", "function": {"name": "x", "arguments": deep(depth)}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]
    given_body = json.dumps({"messages": [{"message": message} for message in messages]}).encode()
    imported = assert_answered(server, "POST", "/api/sessions/import", given_body)
    assert_answered(server, "GET", f"/api/sessions/{imported.get_json()['id']}", b"")


def test_whatever_is_imported_can_be_shown(server: Server) -> None:
    @tries(60)
    @given(IMPORTS)
    def each(value: Any) -> None:
        answer = assert_answered(server, "POST", "/api/sessions/import", json.dumps(value).encode())
        if answer.status_code < 300:
            shown = assert_answered(server, "GET", f"/api/sessions/{answer.get_json()['id']}", b"")
            assert shown.status_code == 200

    each()


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
PARAMETER = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    joined(
        ("0", "9", "-", ".", "e", "T", ":", "Z", "+", ",", " ", "1m", "s", "W/", '"', "*", "٣", "inf", "nan")
    ),
    st.sampled_from(
        ("9" * 400, "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
    ),
)


def test_any_parameter_and_header_is_answered(server: Server) -> None:
    session = new_session(server)
    places = (
        "/api/sessions",
        f"/api/sessions/{session}",
        "/api/audit",
        "/api/runs",
        f"/api/sessions/{session}/queue",
    )
    names = (
        "limit",
        "after",
        "before",
        "since",
        "until",
        "status",
        "wait",
        "timeout",
        "session",
        "pretty",
        "name",
    )

    @tries(120)
    @given(st.sampled_from(places), st.dictionaries(st.sampled_from(names), PARAMETER, max_size=3), HEADER)
    def each(path: str, query: dict[str, str], header: str) -> None:
        with bounded():
            sent = dict.fromkeys(("Last-Event-ID", "If-Match", "Idempotency-Key", "Accept-Language"), header)
            answer = server.app.test_client().get(path, query_string=query, headers=sent)
        assert answer.status_code < 500, (path, query, header, answer.data[:200])

    each()


def test_any_idempotency_key_and_position_is_answered(server: Server) -> None:
    @tries(40)
    @given(HEADER, HEADER, HEADER)
    def each(key: str, position: str, kind: str) -> None:
        headers = {"Idempotency-Key": key, "If-Match": position, "Content-Type": kind}
        with bounded():
            answer = server.app.test_client().post("/api/sessions", data=b"{}", headers=headers)
        assert answer.status_code < 500, headers

    each()


@tries(100)
@given(st.one_of(VALUES.map(json.dumps), st.text(max_size=30), st.integers(1, 1000).map(deep)))
@example('{"a": 1')
@example('{"a": 1e999}')
def test_the_input_of_a_models_call_can_always_be_sent_back(raw: str) -> None:
    with bounded():
        value, is_broken = _input(raw)
        content = {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "x", "input": value}],
        }
        if not any("\ud800" <= character <= "\udfff" for character in raw):
            orjson.dumps(content)
    assert not is_broken or value == {"INVALID_JSON": raw}
