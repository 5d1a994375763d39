"""Rows in the fewest words, and what the stand-in's judge thinks of them as a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from anthropic_standin.judge import judge
from app.agent.request_builder import RequestBuilder
from app.conversation.blocks import Block
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.transcript import Message

PROMPT = "the prompt's digest"
SYSTEM: list[Block] = [{"type": "text", "text": "Be brief."}]
TOOLS: list[Block] = [
    {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
]
MODEL = "claude-sonnet-5-5"


def block(part: Block | str) -> Block:
    return {"type": "text", "text": part} if isinstance(part, str) else part


def user(*parts: Block | str, **fields: Any) -> Message:
    return Message("user", tuple(map(block, parts)), **fields)


def assistant(*parts: Block | str, **fields: Any) -> Message:
    return Message("assistant", tuple(map(block, parts)), **{"prompt": PROMPT, **fields})


def answer(call_id: str, output: str = "seen", **fields: Any) -> Message:
    return Message("tool", (result(call_id, output),), **fields)


def call(call_id: str, **fields: Any) -> Block:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": {}, **fields}


def result(call_id: str, output: str = "seen", **fields: Any) -> Block:
    return {"type": "tool_result", "tool_use_id": call_id, "content": output, **fields}


def thinking(text: str = "Hm.", signature: str = "signed") -> Block:
    return {"type": "thinking", "thinking": text, "signature": signature}


def search(call_id: str = "srvtoolu_1") -> Block:
    return {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {"query": "x"}}


def found(call_id: str = "srvtoolu_1") -> Block:
    return {"type": "web_search_tool_result", "tool_use_id": call_id, "content": []}


def rendered(rows: Sequence[Message], *, prompt: str = PROMPT) -> list[tuple[str, list[Block]]]:
    """The rows as the messages of a request, without marks for the cache: role and content."""
    frozen = FrozenPrompt(prompt, "root", "", MODEL, "", "")
    request = RequestBuilder(frozen).build(rows, model=MODEL, max_tokens=1000, options={})
    return [
        (one["role"], list(map(_unmarked, one["content"]))) for one in map(orjson.loads, request.messages)
    ]


def _unmarked(block: Block) -> Block:
    return {key: value for key, value in block.items() if key != "cache_control"}


def request_body(rows: Sequence[Message], prompt: str = PROMPT) -> dict[str, Any]:
    """The rows as the body of a request, through JSON, as they would travel."""
    body = {
        "model": MODEL,
        "max_tokens": 1000,
        "system": SYSTEM,
        "tools": TOOLS,
        "messages": [{"role": role, "content": content} for role, content in rendered(rows, prompt=prompt)],
    }
    parsed: dict[str, Any] = orjson.loads(orjson.dumps(body))
    return parsed


def assert_accepted(rows: Sequence[Message], prompt: str = PROMPT) -> None:
    """A conversation that a person goes on with is one that the model's API takes."""
    judge(request_body([*rows, user("Go on.")], prompt))
