"""The body of an import: a session as `GET /api/sessions/<session_id>` shows it, back as rows that the model's API
accepts, whatever was done to it in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field

from app.conversation.blocks import Block, is_deep, text_block, tool_result
from app.conversation.healing import MISSING_RESULT, heal
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.web.foreign_messages import SPEAKERS
from app.web.posted_messages import MAX_PARTS, Part, content_blocks
from app.web.request_models import MAX_TEXT, CreateSession, Name, RequestModel, whole

MAX_IMPORTED: Final = 100_000
MAX_CALLS: Final = 1000  # of one message

Text = Annotated[str, Field(max_length=MAX_TEXT)]

Count = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(whole)]


class ImportedFunction(RequestModel):
    name: Name
    arguments: Text = "{}"


class ImportedCall(RequestModel):
    id: Name
    function: ImportedFunction


class ImportedTokens(RequestModel):
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    cached_write_tokens: Count = 0


def _any_message(schema: dict[str, Any]) -> None:
    schema["properties"] = {
        "role": {"type": "string", "enum": list(SPEAKERS)},
        **{key: {} for key in ("content", "multi_content", "tool_calls", "tool_call_id")},
    }


def _wrapped_or_not(schema: dict[str, Any]) -> None:
    wrapped = {"required": ["message"], "properties": {"message": schema["properties"].pop("message")}}
    bare = {"required": ["role"], "properties": {"role": {"type": "string", "enum": list(SPEAKERS)}}}
    del schema["required"]
    schema["anyOf"] = [wrapped, bare]


class ImportedChat(RequestModel):
    """Only the role has to be one that is known here. The rest is taken as far as it is understood, in the shapes of
    `app.web.foreign_messages`."""

    model_config = ConfigDict(json_schema_extra=_any_message)

    role: Literal["user", "assistant", "tool"]
    content: Text = ""
    multi_content: Annotated[list[Part], Field(max_length=MAX_PARTS)] | None = None
    tool_calls: Annotated[list[ImportedCall], Field(max_length=MAX_CALLS)] = Field(default_factory=list)
    tool_call_id: Name = ""
    is_error: bool = False
    created_at: Name = ""
    model: Name = ""
    cost: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    usage: ImportedTokens | None = None


class ImportedMessage(RequestModel):
    """As our own exports have it, or the message itself, as others have it."""

    model_config = ConfigDict(json_schema_extra=_wrapped_or_not)

    message: ImportedChat
    agent: Name = Field(default="", validation_alias="agentName")
    implicit: bool = False
    partial: Name = ""


class ImportSession(CreateSession):
    """Other fields of an export (ids, counts, the run at work) are ignored."""

    thinking: bool = False
    messages: Annotated[list[ImportedMessage], Field(max_length=MAX_IMPORTED)] | None = None


def rows_of(imported: Sequence[ImportedMessage]) -> list[Message]:
    """A valid, closed transcript of what was imported. Thinking is left out: it was signed over a prompt that this
    session does not have. InvalidRequest for an image that the model's API would refuse."""
    rows = (row for index, one in enumerate(imported) if (row := _row(one, index)).content)
    healed = heal(list(rows))
    return [*healed.rows, *_closing(healed.open_calls)]


def _closing(open_calls: Iterable[str]) -> list[Message]:
    """A session that nobody works on has no open calls."""
    return [
        Message("tool", (tool_result(call_id, MISSING_RESULT, is_error=True),), implicit=True)
        for call_id in open_calls
    ]


def _row(one: ImportedMessage, index: int) -> Message:
    chat = one.message
    usage = chat.usage
    return Message(
        chat.role,
        tuple(_blocks(chat, index)),
        agent=one.agent,
        created_at=_seconds(chat.created_at),
        implicit=one.implicit,
        partial=one.partial,
        usage=Usage(
            usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cached_write_tokens
        )
        if usage
        else None,
        model=chat.model,
        cost=chat.cost,
    )


def _blocks(chat: ImportedChat, index: int) -> list[Block]:
    said = content_blocks(chat.content, chat.multi_content, index)
    match chat.role:
        case "user":
            return said
        case "assistant":
            return said + [_call(call) for call in chat.tool_calls]
    result = tool_result(chat.tool_call_id, chat.content, is_error=chat.is_error)
    if chat.multi_content and not chat.is_error:
        result["content"] = said or [text_block(result["content"])]
    return [result]


def _call(call: ImportedCall) -> Block:
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": _arguments(call.function)}


def _arguments(function: ImportedFunction) -> Any:
    """Healing makes an object of whatever else it is."""
    try:
        value = orjson.loads(function.arguments)
    except orjson.JSONDecodeError:
        return function.arguments
    return function.arguments if is_deep(value) else value


def _seconds(text: str) -> float:
    """A time that is none, or that can't be shown, is 0: the moment when the message is stored."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return max(seconds, 0.0)
