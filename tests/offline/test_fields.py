"""The fields of a request: an unknown field, or one of the wrong type, is refused with its path."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.judge import Refusal, judge
from tests.offline.conversations import Json, accepted, assistant, call, refused, request, result, user

EXTRA = "Extra inputs are not permitted"
LONG_IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": ""}}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (call("toolu_1", text="x"), f"tool_use.text: {EXTRA}"),
        (call("toolu_1", partial_json="{}"), f"tool_use.partial_json: {EXTRA}"),
        (call("toolu_1", input="{}"), "tool_use.input: Input should be a valid dictionary"),
        (call("toolu_1", input=None), "tool_use.input: Input should be a valid dictionary"),
        (call("call.1:2"), "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        (call(""), "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ({"type": "text", "text": "x", "parsed": None}, f"text.parsed: {EXTRA}"),
        ({"type": "text", "text": None}, "text.text: Input should be a valid string"),
        ({"type": "text"}, "text.text: Field required"),
        ({"type": "thinking", "thinking": "x"}, "thinking.signature: Field required"),
        (
            {"type": "thinking", "thinking": "x", "signature": "y", "cache_control": {"type": "ephemeral"}},
            f"thinking.cache_control: {EXTRA}",
        ),
    ],
)
def test_a_block_with_a_wrong_field_is_refused_with_its_path(block: Json, expected: str) -> None:
    body = request(user("a"), assistant(block), user("b"))
    assert refused(body) == f"messages.1.content.0.{expected}"


def test_a_streams_delta_is_no_block() -> None:
    delta = {"type": "input_json_delta", "partial_json": "{}"}
    assert refused(request(user("a"), assistant(delta), user("b"))).startswith(
        "messages.1.content.0: Input tag 'input_json_delta' found using 'type' does not match any of the "
        "expected tags: 'text', "
    )


def test_a_block_has_a_type() -> None:
    assert refused(request(user({"text": "a"}))) == "messages.0.content.0.type: Field required"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timestamp": 1}, f"timestamp: {EXTRA}"),
        ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"stream": 1}, "stream: Input should be a valid boolean"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"messages": ["hi"]}, "messages.0: Input should be a valid dictionary"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": "a", "id": 1}]}, f"messages.0.id: {EXTRA}"),
        (
            {"messages": [{"role": "tool", "content": "a"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ({"system": [{"type": "text", "text": "a", "id": 1}]}, f"system.0.text.id: {EXTRA}"),
        ({"service_tier": "fast"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({"temperature": 1}, "`temperature` is deprecated for this model."),
        ({"messages": [user(LONG_IMAGE)]}, "messages.0.content.0.image.source.base64.media_type: "),
    ],
)
def test_a_wrong_field_of_the_request_is_refused(fields: Json, expected: str) -> None:
    assert refused(request(user("a"), **fields)).startswith(expected)


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    assert refused(body) == "Input should be a valid dictionary"


def test_a_missing_field_is_named() -> None:
    assert refused({"model": "x", "messages": []}) == "max_tokens: Field required"


@pytest.mark.parametrize(
    ("field", "beta"),
    [
        ("context_management", "context-management-2025-06-27"),
        ("mcp_servers", "mcp-client-2025-11-20"),
        ("compaction", "compact-2026-09-04"),
    ],
)
def test_a_beta_field_needs_its_header(field: str, beta: str) -> None:
    body: Json = {**request(user("a")), field: {}}
    assert refused(body) == f"{field}: {EXTRA}"
    accepted(body, [beta])


def test_an_unknown_model_is_not_found_and_a_retired_one_neither() -> None:
    for model in ("claude-nobody-9", "claude-opus-4-1"):
        with pytest.raises(Refusal, match=model) as caught:
            judge(request(user("a"), model=model))
        assert (caught.value.status, caught.value.kind) == (404, "not_found_error")


def test_every_documented_field_is_accepted() -> None:
    accepted(
        request(
            user("a"),
            assistant("b", call("toolu_1", cache_control={"type": "ephemeral"})),
            user(result("toolu_1", is_error=False, content=[{"type": "text", "text": "NUL: \0"}])),
            system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            tool_choice={"type": "auto", "disable_parallel_tool_use": False},
            thinking={"type": "adaptive", "display": "summarized"},
            output_config={"effort": "medium"},
            metadata={"user_id": "somebody"},
            stop_sequences=[],
            service_tier="auto",
            stream=True,
        )
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"temperature": 0.5, "thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking is enabled"),
        ({"model": "claude-opus-5-5", "temperature": 0.5}, "`temperature` is deprecated for this model."),
    ],
)
def test_sampling_has_its_rules_where_it_is_taken_at_all(fields: Json, expected: str) -> None:
    body = {**request(user("a"), model="claude-haiku-4-5"), "max_tokens": 4000}
    judge({**body, "temperature": 0.5}, version="2023-06-01")
    with pytest.raises(Refusal, match="deprecated"):
        judge({**body, "temperature": 0.5})
    with pytest.raises(Refusal, match=expected):
        judge({**body, **fields}, version="2023-06-01")
