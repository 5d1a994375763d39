"""Events of tool calls, from the first piece of a call to its result."""

from __future__ import annotations

from dataclasses import dataclass

from app.conversation.events import Event, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialToolCall(Event):
    """A call that is being written. The fact has the arguments so far, of which the last `piece_length` characters are
    new; it has no such key where a call begins."""

    type = "partial_tool_call"
    optional = frozenset({"tool_definition", "piece_length"})
    unsent = frozenset({"piece_length"})
    tool_call: Json
    tool_definition: Json
    piece_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallConfirmation(Event):
    type = "tool_call_confirmation"
    optional = frozenset({"metadata"})
    tool_call: Json
    tool_definition: Json
    metadata: Json | None = None  # what hooks have to say to the question


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted(Event):
    type = "tool_call"
    tool_call: Json
    tool_definition: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallOutput(Event):
    """A piece of what a call's tool writes while it is at work. Stored without its text: the result has it."""

    type = "tool_call_output"
    tool_call_id: str
    tool_definition: Json
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallResponse(Event):
    """`tool_call_id` repeats the call's id, by which later clients find it. `state` is ours: the call's own."""

    type = "tool_call_response"
    optional = frozenset({"tool_call_id", "state"})
    tool_call_id: str = ""
    tool_call: Json
    tool_definition: Json
    response: str
    result: Json
    state: str = ""


def wire_call(call_id: str, name: str, arguments: str) -> Json:
    """The contract's tool_call object; `arguments` is JSON text, left out when it is empty."""
    function = {"name": name, "arguments": arguments} if arguments else {"name": name}
    return (
        {"id": call_id, "type": "function", "function": function}
        if call_id
        else {"type": "function", "function": function}
    )
