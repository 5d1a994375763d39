"""Messages as JSON, key for key as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, cast

from typing_extensions import TypedDict

from app.conversation.blocks import Block, is_attachment, plain_text, result_text, thinking_text
from app.conversation.framing import unframed
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.conversation.wire_content import wire_parts, wire_tool_call
from app.web.response_json import IfAny, Json, Time, time_text, without_empty

Definitions = Mapping[str, Sequence[Mapping[str, Any]]]


class FunctionCallJson(TypedDict):
    """`arguments` is JSON text."""

    name: str
    arguments: NotRequired[str]


class WireCallJson(TypedDict):
    id: NotRequired[str]
    type: Literal["function"]
    function: FunctionCallJson


class UsageJson(TypedDict):
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cached_write_tokens: int


class ChatMessageJson(TypedDict):
    """`message_id` is the one that events name it by; in snapshots and histories only."""

    message_id: NotRequired[str]
    reasoning_content: NotRequired[str]
    thinking_signature: NotRequired[str]
    usage: NotRequired[IfAny[UsageJson]]
    model: NotRequired[str]
    cost: NotRequired[IfAny[float]]
    role: Literal["user", "assistant", "tool"]
    content: str
    multi_content: NotRequired[Sequence[Json]]
    tool_calls: NotRequired[list[WireCallJson]]
    tool_definitions: NotRequired[Sequence[Json]]
    tool_call_id: NotRequired[IfAny[str]]
    is_error: NotRequired[bool]
    created_at: Time


class StoredMessageJson(TypedDict):
    """`partial` says why a message was cut; `implicit`: Baton itself put it in."""

    agentName: str
    message: ChatMessageJson
    implicit: NotRequired[bool]
    partial: NotRequired[str]


def message_payload(message: Message, definitions: Definitions, message_id: str = "") -> StoredMessageJson:
    body: StoredMessageJson = {
        "agentName": message.agent if message.role != "user" else "",
        "message": _chat_message(message, definitions, message_id),
        "implicit": message.implicit,
        "partial": message.partial,  # ours: why the message was cut
    }
    return without_empty(StoredMessageJson, body)


def _chat_message(message: Message, definitions: Definitions, message_id: str) -> ChatMessageJson:
    blocks = unframed(message.content) if message.role == "user" else message.content
    called = message.calls
    result = blocks[0] if message.role == "tool" else None
    inner = _inner(blocks, result)
    signatures = [block.get("signature") for block in blocks if block.get("type") == "thinking"]
    known = {tool["name"]: tool for tool in definitions.get(message.prompt, ())} if called else {}
    body: ChatMessageJson = {
        "message_id": message_id,
        "role": message.role,
        "content": result_text(result) if result else plain_text(blocks),
        "created_at": time_text(message.created_at),
        "multi_content": wire_parts(inner) if any(map(is_attachment, inner)) else [],
        "reasoning_content": thinking_text(blocks),
        "thinking_signature": (signatures[-1] or "") if signatures else "",
        "tool_calls": [_wire_call(call) for call in called],
        "tool_definitions": [known[call["name"]] for call in called if call["name"] in known],
        "tool_call_id": result["tool_use_id"] if result else None,
        "is_error": bool(result and result.get("is_error")),
        "usage": _usage(message.usage) if message.usage is not None else None,
        "model": message.model if message.role == "assistant" else "",
        "cost": message.cost or None,
    }
    return without_empty(ChatMessageJson, body)


def _wire_call(call: Block) -> WireCallJson:
    return cast("WireCallJson", wire_tool_call(call))


def _inner(blocks: Sequence[Block], result: Block | None) -> Sequence[Block]:
    if result is None:
        return blocks
    content = result.get("content")
    return content if isinstance(content, list) else []


def _usage(usage: Usage) -> UsageJson:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cache_read_tokens,
        "cached_write_tokens": usage.cache_write_tokens,
    }
