"""The events that a run sends its readers: the contract's kinds and their JSON.

An event is a frozen value; `payload` gives its JSON object in the contract's key order. Encoding to bytes,
numbering and time stamps belong to `app.runtime`, which does each of them once per event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

Json = Mapping[str, Any]

ZERO_TIME: Final = "0001-01-01T00:00:00Z"

NORMAL: Final = "normal"
FAILED: Final = "error"
CANCELLED: Final = "canceled"
_REASONS: Final = {"calls_repeated": "loop_detected", "hook_blocked": "hook_blocked"}


def stop_reason(code: str) -> str:
    """How the turn of a run, or of a task, that failed with this code ended, as `stream_stopped` says it."""
    return _REASONS.get(code, FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`agent_name` is empty where the contract leaves it out."""

    type: ClassVar[str]
    optional: ClassVar[frozenset[str]] = frozenset()  # keys that are left out when they are empty
    unsent: ClassVar[frozenset[str]] = frozenset()  # keys of the fact that no client is sent
    timed: ClassVar[bool] = True  # False: the contract sends the zero time

    agent_name: str = ""

    def payload(self, timestamp: str) -> dict[str, Any]:
        body: dict[str, Any] = {"type": self.type}
        for name in _own_fields(type(self)):
            value = getattr(self, name)
            if value or name not in self.optional:
                body[name] = value
        if self.agent_name:
            body["agent_name"] = self.agent_name
        body["timestamp"] = timestamp if self.timed else ZERO_TIME
        return body


_FIELDS: dict[type[Event], tuple[str, ...]] = {}


def _own_fields(kind: type[Event]) -> tuple[str, ...]:
    names = _FIELDS.get(kind)
    if names is None:
        names = tuple(field.name for field in fields(kind) if field.name != "agent_name")
        _FIELDS[kind] = names
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo(Event):
    """`context_limit` is the model's window in tokens; it is left out if that is not known."""

    type = "agent_info"
    optional = frozenset({"welcome_message", "context_limit"})
    model: str
    description: str
    welcome_message: str = ""
    context_limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamInfo(Event):
    type = "team_info"
    available_agents: Sequence[Json]
    current_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class McpInitStarted(Event):
    type = "mcp_init_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpInitFinished(Event):
    type = "mcp_init_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsetInfo(Event):
    type = "toolset_info"
    available_tools: int
    loading: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning(Event):
    type = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage(Event):
    """`message_id` is the id that the message had in the queue, or one of its own."""

    type = "user_message"
    optional = frozenset({"multi_content", "message_id"})
    message: str
    multi_content: Sequence[Json] = ()
    session_id: str
    session_position: int
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted(Event):
    type = "stream_started"
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChoice(Event):
    """`message_id` is the same for all pieces of a message, thoughts and words."""

    type = "agent_choice"
    optional = frozenset({"message_id"})
    content: str
    session_id: str
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChoiceReasoning(Event):
    """`message_id` is the same for all pieces of a message, thoughts and words."""

    type = "agent_choice_reasoning"
    optional = frozenset({"message_id"})
    content: str
    session_id: str
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage(Event):
    """`timing` is of the model call that this tells of: its `message_id`, the `seconds` it took, those until its first
    piece came (`first_seconds`), and how many attempts had failed before (`retries`)."""

    type = "token_usage"
    optional = frozenset({"timing"})
    unsent = frozenset({"timing"})
    session_id: str
    usage: Json | None
    timing: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUsage(Event):
    """What the run has used of its file's budgets, each of which has the keys of docker-agent's."""

    type = "budget_usage"
    session_id: str
    budgets: Sequence[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetExceeded(Event):
    """A limit of a budget is reached, at `config_path` in the agent file; the run, or the task, ends."""

    type = "budget_exceeded"
    session_id: str
    budget: str
    limit: str
    used: str
    max: str
    config_path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTitle(Event):
    type = "session_title"
    timed = False
    session_id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCompaction(Event):
    """`outcome` is there when the status is `completed`: `applied` or `failed`."""

    type = "session_compaction"
    optional = frozenset({"outcome"})
    session_id: str
    status: str
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummaryEvent(Event):
    """`first_kept_entry` is the position of the first message that the summary does not stand for."""

    type = "session_summary"
    optional = frozenset({"first_kept_entry"})
    session_id: str
    summary: str
    first_kept_entry: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePaused(Event):
    """The session's run waits before its next model call, until somebody ends the pause."""

    type = "runtime_paused"
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxIterationsReached(Event):
    """`request_id` is the question's own id."""

    type = "max_iterations_reached"
    optional = frozenset({"session_id", "request_id"})
    timed = False
    max_iterations: int
    session_id: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElicitationRequest(Event):
    """`elicitation_id` is the question's own id, `server_elicitation_id` the one that the tool server gave it."""

    type = "elicitation_request"
    optional = frozenset({"mode", "url", "elicitation_id", "server_elicitation_id", "meta"})
    message: str
    mode: str = ""
    schema: Any = None
    url: str = ""
    elicitation_id: str = ""
    server_elicitation_id: str = ""
    meta: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationEvent(Event):
    """A tool server took the token that somebody got for it."""

    type = "authorization_event"
    confirmation: str = "accept"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSwitching(Event):
    type = "agent_switching"
    optional = frozenset({"from_agent", "to_agent"})
    switching: bool
    from_agent: str
    to_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFallback(Event):
    type = "model_fallback"
    failed_model: str
    fallback_model: str
    reason: str
    attempt: int = 1
    max_attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAdded(Event):
    type = "message_added"
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """`code` is ours: the same stable word that an HTTP refusal would have carried."""

    type = "error"
    optional = frozenset({"session_id", "code"})
    timed = False
    error: str
    session_id: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStopped(Event):
    """`reason` is how the turn ended, in docker-agent's words; `normal` if nothing went wrong."""

    type = "stream_stopped"
    session_id: str
    reason: str = NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExited(Event):
    """The session was deleted; a log that is followed ends here."""

    type = "session_exited"
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyTold(Event):
    """Ours: another stream has told the reader's program of the run that ends here. It moves the reader's cursor."""

    type = "already_told"
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Event):
    """Ours: events between the reader's cursor and `first_available` are gone; read the session instead."""

    type = "gap"
    session_id: str
    first_available: int
    snapshot: str
