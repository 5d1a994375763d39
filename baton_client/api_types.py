"""The shapes of the API's answers, for type checkers. At run time they are plain dictionaries; a later server may put
more into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

RunStatus = Literal[
    "running", "awaiting_approval", "awaiting_input", "finished", "cancelled", "failed", "interrupted"
]


class Question(TypedDict):
    """What a run waits on: an approval, a form, leave for more model calls, or the end of a pause."""

    kind: Literal["approval", "elicitation", "max_iterations", "pause"]
    call_id: NotRequired[str]
    tool: NotRequired[str]
    arguments: NotRequired[Any]
    agent: NotRequired[str]
    message: NotRequired[str]
    schema: NotRequired[Any]
    limit: NotRequired[int]


class Run(TypedDict):
    """`code` and `error` say why it ended badly. Times are texts in ISO 8601. `phase` and `tool`: what a run at work
    does at this moment."""

    id: str
    session_id: str
    agent: str
    status: RunStatus
    started_at: str
    holder: str
    host: str
    pid: int
    started_by: NotRequired[str]
    retries: NotRequired[str]
    compacts: NotRequired[bool]
    paused: NotRequired[bool]
    ended_at: NotRequired[str | None]
    waiting_for: NotRequired[Question | None]
    lease_expires_at: NotRequired[str | None]
    code: NotRequired[str]
    error: NotRequired[str]
    stopped_by: NotRequired[str]
    phase: NotRequired[Literal["model", "tool", "waiting"]]
    tool: NotRequired[str]


class FunctionCall(TypedDict):
    """`arguments` is JSON text."""

    name: str
    arguments: NotRequired[str]


class ToolCall(TypedDict):
    type: Literal["function"]
    function: FunctionCall
    id: NotRequired[str]


class ChatMessage(TypedDict):
    role: Literal["user", "assistant", "tool"]
    content: str
    created_at: str
    message_id: NotRequired[str]
    reasoning_content: NotRequired[str]
    thinking_signature: NotRequired[str]
    usage: NotRequired[Mapping[str, int] | None]
    model: NotRequired[str]
    cost: NotRequired[float | None]
    multi_content: NotRequired[Sequence[Mapping[str, Any]]]
    tool_calls: NotRequired[list[ToolCall]]
    tool_definitions: NotRequired[Sequence[Mapping[str, Any]]]
    tool_call_id: NotRequired[str | None]
    is_error: NotRequired[bool]


class StoredMessage(TypedDict):
    """`partial` says why a message was cut."""

    agentName: str
    message: ChatMessage
    implicit: NotRequired[bool]
    partial: NotRequired[str]


class SessionSummary(TypedDict):
    """`streaming`: a run is at work on it."""

    id: str
    title: str
    created_at: str
    num_messages: int
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    owner: NotRequired[str]
    streaming: NotRequired[bool]
    last_active_at: NotRequired[str]
    agent: NotRequired[str]
    status: NotRequired[str]


class SearchHit(TypedDict):
    """A message or, without a `position`, a session's title. `marks`: where in the `excerpt` the words are, from
    character to character."""

    session_id: str
    title: str
    owner: NotRequired[str]
    position: NotRequired[int]
    role: NotRequired[str]
    agent: NotRequired[str]
    created_at: str
    excerpt: str
    marks: list[list[int]]


class _SessionSettings(TypedDict):
    id: str
    title: str
    created_at: str
    tools_approved: bool
    thinking: bool
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    safety_policy: NotRequired[str]
    permissions: NotRequired[Mapping[str, Sequence[str]] | None]
    agent_model_overrides: NotRequired[Mapping[str, str] | None]
    custom_models_used: NotRequired[Sequence[str]]
    disable_title: NotRequired[bool]


class NewSession(_SessionSettings):
    """`left_out`: the parts of an import that have no place in a session, in words."""

    max_iterations: int
    starred: bool
    cost: float
    left_out: NotRequired[list[str]]


class Session(_SessionSettings):
    """`run`: the one that has the session, while one is at work."""

    messages: NotRequired[list[StoredMessage]]
    owner: NotRequired[str]
    budget: NotRequired[float | None]
    model: NotRequired[str]
    tasks: NotRequired[list[Mapping[str, Any]]]
    run: NotRequired[Run | None]
    first_position: NotRequired[int]


class QueuedMessage(TypedDict):
    id: str
    kind: Literal["steer", "followup"]
    content: str
    created_at: str
    created_by: str
    multi_content: NotRequired[Sequence[Mapping[str, Any]]]


class Agent(TypedDict):
    """`name` is the file's key; `multi`: more than one agent is in it."""

    name: str
    description: str
    multi: bool
    commands: NotRequired[Sequence[str]]


class ModelChoice(TypedDict):
    """`ref` is how a request names the model. Prices are dollars for a million tokens."""

    name: str
    ref: str
    provider: NotRequired[str]
    model: NotRequired[str]
    is_default: NotRequired[bool]
    is_current: NotRequired[bool]
    is_custom: NotRequired[bool]
    input_cost: NotRequired[float]
    output_cost: NotRequired[float]
    cache_read_cost: NotRequired[float]
    cache_write_cost: NotRequired[float]
    context_limit: NotRequired[int]
    output_limit: NotRequired[int]
