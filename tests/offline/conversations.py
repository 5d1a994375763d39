"""Builds requests in the fewest words, and asks the judge what it thinks of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from anthropic_standin.judge import Judgement, Refusal, judge

Json = dict[str, Any]

NEWEST = "claude-sonnet-5-5"  # preserves thinking, always thinks, takes no forced choice
OPTIONAL = "claude-opus-4-8"  # adaptive or disabled
BOTH = "claude-opus-4-6"  # adaptive, disabled or enabled
OLD = "claude-haiku-4-5"  # manual thinking, prefill, 200k

TOOL: Json = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}


def user(*content: Json | str) -> Json:
    return {"role": "user", "content": [_block(part) for part in content]}


def assistant(*content: Json | str) -> Json:
    return {"role": "assistant", "content": [_block(part) for part in content]}


def system(words: str) -> Json:
    return {"role": "system", "content": words}


def call(call_id: str, **fields: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": {}, **fields}


def result(call_id: str, **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "seen", **fields}


def search(call_id: str = "srvtoolu_1") -> Json:
    return {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {"query": "x"}}


def found(call_id: str = "srvtoolu_1") -> Json:
    return {"type": "web_search_tool_result", "tool_use_id": call_id, "content": []}


def request(*messages: Json, model: str = NEWEST, **fields: Any) -> Json:
    return {"model": model, "max_tokens": 100, "messages": list(messages), "tools": [TOOL], **fields}


def accepted(body: Any, betas: Collection[str] = ()) -> Judgement:
    return judge(body, betas)


def refused(body: Any, betas: Collection[str] = ()) -> str:
    with pytest.raises(Refusal) as caught:
        judge(body, betas)
    assert caught.value.status == 400
    assert caught.value.kind == "invalid_request_error"
    return caught.value.message


def _block(part: Json | str) -> Json:
    return {"type": "text", "text": part} if isinstance(part, str) else part
