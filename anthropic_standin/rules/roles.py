"""The order of roles, and what a message may hold (M1-M8, O1, O2, P2)."""

from __future__ import annotations

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.grammar import SERVER_RESULTS
from anthropic_standin.rules.shape import wrong

_USER = {"text", "image", "document", "search_result", "tool_result", "container_upload"}
_ASSISTANT = {
    *("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"),
    *("mcp_tool_result", "compaction", "fallback", *SERVER_RESULTS),
}
_SERVER_BLOCKS = {"server_tool_use", "mcp_tool_use", "mcp_tool_result", *SERVER_RESULTS}
PLACES = {"user": _USER, "assistant": _ASSISTANT, "system": {"text"}}


def blocks_of(message: Json) -> list[Json]:
    """The content as blocks: a string is one text block."""
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks: list[Json] = content
    return blocks


def check_roles(messages: list[Json], model: Model) -> None:
    if not messages:
        raise Refusal("messages: at least one message is required")
    for index, message in enumerate(messages):
        if message["role"] == "system":
            _check_system(messages, index, model)
    if messages[0]["role"] != "user":
        raise Refusal('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        _check_content(message, index, is_last=index == len(messages) - 1)


def check_end(messages: list[Json], model: Model) -> None:
    """A conversation that ends with the assistant's words asks the model to go on from them."""
    last = messages[-1]
    blocks = blocks_of(last)
    if last["role"] != "assistant" or (blocks and blocks[-1]["type"] in _SERVER_BLOCKS):
        return
    if not model.prefill:
        raise Refusal(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    if blocks and blocks[-1]["type"] == "text" and blocks[-1]["text"] != blocks[-1]["text"].rstrip():
        raise Refusal("messages: final assistant content cannot end with trailing whitespace")


def _check_content(message: Json, index: int, *, is_last: bool) -> None:
    blocks = blocks_of(message)
    if not blocks and not (is_last and message["role"] == "assistant"):
        raise wrong(
            f"messages.{index}",
            "all messages must have non-empty content except for the optional final assistant message",
        )
    for position, block in enumerate(blocks):
        path = f"messages.{index}.content.{position}"
        if block["type"] not in PLACES[message["role"]]:
            raise wrong(path, f"`{block['type']}` blocks cannot be in `{message['role']}` messages")
        _check_text(block, path)
        if block["type"] == "tool_result":
            _check_result(block, path)


def _check_text(block: Json, path: str) -> None:
    if block["type"] != "text":
        return
    if not block["text"] and block.get("cache_control"):
        raise wrong(f"{path}.text", "cache_control cannot be set for empty text blocks")
    if not block["text"]:
        raise Refusal("messages: text content blocks must be non-empty")
    if not block["text"].strip():
        raise Refusal("messages: text content blocks must contain non-whitespace text")


def _check_result(block: Json, path: str) -> None:
    content = block.get("content")
    parts = content if isinstance(content, list) else []
    if block.get("is_error"):
        if not content:
            raise wrong(path, "content cannot be empty if `is_error` is true")
        if any(part["type"] != "text" for part in parts):
            raise wrong(path, "all content must be type `text` if `is_error` is true")
    for part in parts:
        _check_text(part, path)


def _check_system(messages: list[Json], index: int, model: Model) -> None:
    path = f"messages.{index}"
    if not model.system_messages:
        raise wrong(path, "role 'system' is not supported on this model")
    if index == 0:
        raise wrong(path, "a message with role 'system' cannot be the first one; use `system` instead")
    before = messages[index - 1]
    ends_in_server_tool = bool(blocks_of(before)) and blocks_of(before)[-1]["type"] in _SERVER_BLOCKS
    if before["role"] == "system" or (before["role"] == "assistant" and not ends_in_server_tool):
        raise wrong(path, "a message with role 'system' must follow a user message")
    if index + 1 < len(messages) and messages[index + 1]["role"] != "assistant":
        raise wrong(path, "a message with role 'system' must be the last one or be followed by the assistant")
