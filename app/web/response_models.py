"""The shapes of answers, as types: `app.web.response_json` is checked against them, and the OpenAPI document is made of
them. `NotRequired` keys are left out when they are empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from app.access_tokens import Role
from app.conversation.run import RunStatus

Json = Mapping[str, Any]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Patterns = Mapping[str, Sequence[str]]


class MessageJson(TypedDict):
    """The change that was made, in words."""

    message: str


class StatusJson(TypedDict):
    status: Literal["ok", "ready"]


class AgentSummaryJson(TypedDict):
    """`name` is the file's key; `multi`: more than one agent is in it."""

    name: str
    description: str
    multi: bool


class ToolCountJson(TypedDict):
    available_tools: int


class AgentFileJson(TypedDict):
    """An agent file, read and normalised; literal secrets are masked."""

    version: str
    agents: list[Json]
    providers: NotRequired[dict[str, Json]]
    models: NotRequired[dict[str, Json]]
    mcps: NotRequired[dict[str, Json]]
    rag: NotRequired[dict[str, Json]]
    metadata: Json
    permissions: NotRequired[Json]


class CreatedSessionJson(TypedDict):
    """`left_out`: the parts of an import that have no place here, in words; not there if that is nothing."""

    id: str
    title: str
    messages: None
    created_at: Time
    tools_approved: bool
    thinking: bool
    hide_tool_results: bool
    working_dir: NotRequired[str]
    left_out: NotRequired[list[str]]
    SendUserMessage: bool
    max_iterations: int
    starred: bool
    input_tokens: int
    output_tokens: int
    cost: float
    permissions: NotRequired[Patterns | None]


class SessionSummaryJson(TypedDict):
    id: str
    title: str
    created_at: Time
    num_messages: int
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    owner: NotRequired[str]


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


class ThinkingJson(TypedDict, total=False):
    reasoning_content: str
    thinking_signature: str


class AccountsJson(TypedDict, total=False):
    usage: UsageJson
    model: str
    cost: float


class ChatMessageJson(ThinkingJson, AccountsJson):
    role: Literal["user", "assistant", "tool"]
    content: str
    multi_content: NotRequired[Sequence[Json]]
    tool_calls: NotRequired[list[WireCallJson]]
    tool_definitions: NotRequired[Sequence[Json]]
    tool_call_id: NotRequired[str]
    is_error: NotRequired[bool]
    created_at: Time


class StoredMessageJson(TypedDict):
    """`partial` says why a message was cut; `implicit`: Baton itself put it in."""

    agentName: str
    message: ChatMessageJson
    implicit: NotRequired[bool]
    partial: NotRequired[str]


class QuestionJson(TypedDict):
    """The question that a run waits on, with the fields of an approval, a form or a limit."""

    kind: Literal["approval", "elicitation", "max_iterations"]
    call_id: NotRequired[str]
    tool: NotRequired[str]
    arguments: NotRequired[Json]
    agent: NotRequired[str]
    message: NotRequired[str]
    schema: NotRequired[Any]
    limit: NotRequired[int]


class RunJson(TypedDict):
    """`code` and `error` say why it ended badly; `stopped_by` who stopped it."""

    id: str
    session_id: str
    agent: str
    started_by: NotRequired[str]
    status: RunStatus
    started_at: Time
    ended_at: NotRequired[Time | None]
    waiting_for: NotRequired[QuestionJson | None]
    holder: str
    host: str
    pid: int
    lease_expires_at: NotRequired[Time | None]
    code: NotRequired[str]
    error: NotRequired[str]
    stopped_by: NotRequired[str]


class RunInViewJson(RunJson):
    """`phase`: its activity at this moment, if it is at work."""

    phase: NotRequired[Literal["model", "tool", "waiting"]]
    tool: NotRequired[str]


class RunAnswerJson(TypedDict):
    run: RunJson


class TaskJson(TypedDict):
    """A task that was given away: its session, and whose it is to do."""

    id: str
    title: str
    agent: str
    created_at: Time


class SessionDetailJson(TypedDict):
    """`run`: the run that has the session, while one is at work. `tasks`: the tasks that were given away in it.
    `first_position`: of the messages shown, if not all were asked for."""

    id: str
    title: str
    messages: NotRequired[list[StoredMessageJson]]
    created_at: Time
    tools_approved: bool
    thinking: bool
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    owner: NotRequired[str]
    budget: NotRequired[float]
    model: NotRequired[str]
    permissions: NotRequired[Patterns]
    tasks: NotRequired[list[TaskJson]]
    run: NotRequired[RunJson]
    first_position: NotRequired[int]


class SnapshotJson(SessionDetailJson):
    """`messages` is always there. `last_event_seq`: follow the session's events since then, and nothing is
    missing."""

    cost: float
    streaming: bool
    agent: str
    last_event_seq: int


class BatchDeletedJson(TypedDict):
    """`failed_ids`: the ids that were not there."""

    deleted_count: int
    failed_count: int
    failed_ids: NotRequired[list[str]]


class BatchExportJson(TypedDict):
    """`failed_ids`: the ids that were not there."""

    export_format: Literal["json"]
    timestamp: Time
    sessions: list[SessionDetailJson]
    session_count: int
    failed_ids: NotRequired[list[str]]


class SessionBudgetJson(TypedDict):
    """In dollars; `cost` is what the session has cost so far."""

    id: str
    budget: float | None
    cost: float


class AuditRecordJson(TypedDict):
    id: int
    at: Time
    who: str
    role: str
    action: str
    session_id: str | None
    run_id: str | None
    detail: str
    request_id: str


class CallerJson(TypedDict):
    """`name` is empty where no tokens are asked for; everybody is an operator then."""

    name: str
    role: Role


class AuditTrailJson(TypedDict):
    """`next` is what `before` has to be to go on; null at the end."""

    entries: list[AuditRecordJson]
    next: int | None


class AddedJson(TypedDict):
    """`id`: the message's position in its session, counted from 0."""

    status: Literal["added"]
    id: int


class SummaryAddedJson(TypedDict):
    status: Literal["added"]


class UpdatedJson(TypedDict):
    status: Literal["updated"]


class SessionStatusJson(TypedDict):
    """`streaming`: a run is at work, in whatever process. `agent`: the one that has the conversation; empty before
    the first run."""

    id: str
    title: str
    streaming: bool
    agent: str
    input_tokens: int
    output_tokens: int
    num_messages: int


class SessionTitleJson(TypedDict):
    id: str
    title: str


class QueuedMessageJson(TypedDict):
    id: str
    kind: Literal["steer", "followup"]
    content: str
    created_at: Time
    created_by: str
    multi_content: NotRequired[Sequence[Json]]


class QueuedJson(TypedDict):
    """`duplicate`: the request's `Idempotency-Key` was used by an equal one before."""

    status: Literal["queued", "queued_streaming", "queued_idle"]
    messages: list[QueuedMessageJson]
    duplicate: NotRequired[bool]


class DepthJson(TypedDict):
    depth: int
    capacity: int


class QueueJson(TypedDict):
    steer: DepthJson
    followup: DepthJson
    messages: list[QueuedMessageJson]


class RefusalJson(TypedDict):
    """`error` repeats `message`; decide by `code`."""

    message: str
    error: str
    code: str
    request_id: str


class BusyJson(RefusalJson):
    """The run that has the session; missing when it is a moment old."""

    run: NotRequired[RunJson]


class AnsweredAlreadyJson(RefusalJson):
    """The answer that came first."""

    decision: NotRequired[str]
    decided_by: NotRequired[str]
    reason: NotRequired[str]


class StaleJson(RefusalJson):
    last_position: int
    missed: list[StoredMessageJson]


class TakenAlreadyJson(RefusalJson):
    """Where in the conversation the message is now."""

    position: NotRequired[int]
