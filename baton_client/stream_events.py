"""The events of a run, as frozen dataclasses. Types that this client does not know are events as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """An event of the server. Types that this client does not know come as this class.

    `id` counts the session's events; None for one that must not move a cursor.
    """

    type: str
    id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def session_id(self) -> str:
        return str(self.data.get("session_id") or "")

    @property
    def agent(self) -> str:
        return str(self.data.get("agent_name") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEvent(StreamEvent):
    """A piece of the agent's answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingEvent(StreamEvent):
    """A piece of its thinking."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessageEvent(StreamEvent):
    """Somebody's message is in the conversation. `message_id` is that of a message that had waited."""

    text: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfCall(StreamEvent):
    call_id: str
    tool: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolApprovalEvent(_OfCall):
    """May this call run? `Run.approve` or `Run.reject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallEvent(_OfCall):
    """It runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutputEvent(StreamEvent):
    """A piece of what its command writes while it runs."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultEvent(_OfCall):
    """The tool's answer."""

    response: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreIterationsEvent(StreamEvent):
    """The agent has made as many model calls as it may. Shall it go on? `Run.approve` or `Run.reject`."""

    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEvent(StreamEvent):
    """A form to be filled in: `Run.elicit`."""

    text: str
    schema: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEvent(StreamEvent):
    """Something is missing or was cut."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(StreamEvent):
    """An error; the end follows."""

    text: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent(StreamEvent):
    """The server itself has lost what was between the last event and `first_available`: read the session."""

    first_available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEvent(StreamEvent):
    """The end of a run, or of a task that was delegated within it; tell them apart by `session_id`."""


def event_of(data: Mapping[str, Any], number: int | None = None) -> StreamEvent:
    """The event of one `data:` object. Whatever it is, it is an event."""
    kind = str(data.get("type") or "")
    base: dict[str, Any] = {"type": kind, "id": number, "data": data}
    match kind:
        case "agent_choice":
            return TextEvent(**base, text=_text(data, "content"))
        case "agent_choice_reasoning":
            return ThinkingEvent(**base, text=_text(data, "content"))
        case "user_message":
            return UserMessageEvent(**base, text=_text(data, "message"), message_id=_queue_id(data))
        case "tool_call_confirmation":
            return ToolApprovalEvent(**base, **_call(data))
        case "tool_call":
            return ToolCallEvent(**base, **_call(data))
        case "tool_call_output":
            return ToolOutputEvent(**base, call_id=_text(data, "tool_call_id"), text=_text(data, "output"))
        case "tool_call_response":
            failed = bool(_mapping(data, "result").get("isError"))
            return ToolResultEvent(**base, **_call(data), response=_text(data, "response"), failed=failed)
        case "max_iterations_reached":
            return MoreIterationsEvent(**base, most=_whole(data, "max_iterations"))
        case "elicitation_request":
            return FormEvent(**base, text=_text(data, "message"), schema=data.get("schema"))
        case "warning":
            return WarningEvent(**base, text=_text(data, "message"))
        case "error":
            code = _text(data, "run_code") or _text(data, "code")
            return ErrorEvent(**base, text=_text(data, "error"), code=code)
        case "gap":
            return GapEvent(**base, first_available=_whole(data, "first_available"))
        case "stream_stopped":
            return StoppedEvent(**base)
    return StreamEvent(**base)


def _text(data: Mapping[str, Any], key: str) -> str:
    return str(data.get(key) or "")


def _queue_id(data: Mapping[str, Any]) -> str:
    """The id of a message that did not wait begins with its session's, and is not shown."""
    message_id = _text(data, "message_id")
    return "" if message_id.startswith(f"{_text(data, 'session_id')}:") else message_id


def _call(data: Mapping[str, Any]) -> dict[str, Any]:
    call = _mapping(data, "tool_call")
    function = _mapping(call, "function")
    return {
        "call_id": _text(call, "id"),
        "tool": _text(function, "name"),
        "arguments": _text(function, "arguments"),
    }


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _whole(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0
