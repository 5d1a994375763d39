"""Refusals and failures, in our words; HTTP numbers are `app.web.error_responses`' business.

AppError
├── InvalidRequest       the caller's words don't make sense
│   └── InvalidAgentConfig   a YAML file, with the place in it
├── RequestTooLarge
├── NotFound             of something that the path or the body names, and that the caller may see
│   └── SessionNotFound, AgentNotFound, RunNotFound, PartNotFound, MessageNotFound ── QueuedMessageNotFound
├── Conflict             makes sense, but not now: `SessionBusy`, somebody else has the baton, and what else the state
│                        of a session, a question, a queued message, a key, a toolset or a todo forbids
├── QueueFull
├── TooMany              more than one token may have: TooManyRuns, RateLimited
├── Unauthorized, Forbidden ── CallDenied
├── Unavailable          try again later: ServerFull, Draining, StoreUnavailable, and what did not come in time
├── ToolServerFailed     an agent's tool server can't be had, or refuses
├── MissingEnvironment   an agent needs a variable that is not set
├── InvalidTranscript    a message that the model's API would refuse
├── BatonLost            somebody took this run's baton; it may not write another row
├── CompactionFailed     no summary could be made; the run goes on
└── RunEnded             how a run can end other than by finishing: BudgetReached, SessionFull, HookStopped,
    │                    RunCancelled, ModelRefused
    └── ModelFailed ── ContextFull, CallsRepeated
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AppError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details: Mapping[str, Any] = details
        super().__init__(self.message)


class InvalidRequest(AppError):
    """The request could not be understood."""

    code = "invalid_request"


class InvalidAgentConfig(InvalidRequest):
    """The agent's file is not valid."""

    code = "invalid_agent_config"


class RequestTooLarge(AppError):
    """The request's body is too large."""

    code = "request_too_large"


class NotFound(AppError):
    """There is no such thing."""

    code = "not_found"


class SessionNotFound(NotFound):
    """session not found"""

    code = "unknown_session"


class AgentNotFound(NotFound):
    """agent not found"""

    code = "unknown_agent"


class MessageNotFound(NotFound):
    """there is no such message in the conversation"""

    code = "unknown_message"


class QueuedMessageNotFound(MessageNotFound):
    """there is no such message in the queue"""


class RunNotFound(NotFound):
    """run not found"""

    code = "unknown_run"


class PartNotFound(NotFound):
    """the session's agent has no such thing"""

    code = "unknown_part"


class Conflict(AppError):
    """That can't be done in the present state."""

    code = "conflict"


class SessionBusy(Conflict):
    """session is already processing a request

    `run` is the holder (an `app.conversation.run.Run`) when it is known, and `busy_code` says what it does:
    `session_busy`, `awaiting_approval`, `awaiting_input` or `stopping`.
    """

    code = "session_busy"

    def __init__(self, message: str = "", *, run: Any = None) -> None:
        super().__init__(message or "session is already processing a request")
        self.run = run
        self.busy_code = self.code if run is None else run.busy_code


class HolderGone(SessionBusy):
    """session is already processing a request

    The run waits for an answer, and no process lives that could take it: one has to adopt the run.
    """


class NotRunning(Conflict):
    """session is not running"""

    code = "not_running"


class NothingToAnswer(Conflict):
    """nothing is waiting for an answer"""

    code = "nothing_to_answer"


class NothingToCompact(Conflict):
    """no agent has been at work on the session that could sum it up"""

    code = "nothing_to_compact"


class NothingToRetry(Conflict):
    """the last turn did not fail: there is nothing to retry"""

    code = "nothing_to_retry"


class AnsweredAlready(Conflict):
    """this question was answered already"""

    code = "answered_already"


class IdempotencyConflict(Conflict):
    """this Idempotency-Key was used for another request"""

    code = "idempotency_conflict"


class TakenAlready(Conflict):
    """this message is in the conversation already"""

    code = "taken_already"


class ToolsetBusy(Conflict):
    """a tool call is under way at the server; try again when it has ended"""

    code = "toolset_busy"


class TodoChanged(Conflict):
    """the todo's description has changed since you looked"""

    code = "todo_changed"


class StalePrecondition(Conflict):
    """The conversation has gone on: `missed` are the messages after the position that the caller knew."""

    code = "stale"

    def __init__(self, *, last_position: int, missed: Any = ()) -> None:
        super().__init__("the conversation has gone on since you looked", last_position=last_position)
        self.missed = missed


class LeaseLost(Conflict):
    """The lease is not this worker's."""

    def __init__(self, message: str = "", *, item: Any) -> None:
        super().__init__(message)
        self.item: Any = item


class QueueFull(AppError):
    """the queue of this session is full"""

    code = "queue_full"


class TooMany(AppError):
    """More than one token may have at a time. `retry_after`: the seconds after which it makes sense to try again."""

    code = "too_many"

    def __init__(self, message: str = "", *, retry_after: int = 2, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class TooManyRuns(TooMany):
    """as many runs are at work as this token may have; wait until one of them ends"""

    code = "too_many_runs"


class ShareTaken(TooMany):
    """one name has its share of what the server can do at a time; end something, or try again"""

    code = "share_taken"

    @classmethod
    def of(cls, name: str, each: int, limit: int, what: str) -> ShareTaken:
        return cls(f"{name} has {each} of {limit} {what}, which is its share; end one, or try again")


class RateLimited(TooMany):
    """too many requests; slow down"""

    code = "rate_limited"


class Unauthorized(AppError):
    """A valid bearer token is needed."""

    code = "unauthorized"


class Forbidden(AppError):
    """This is not allowed."""

    code = "forbidden"


class CallDenied(Forbidden):
    """the permissions deny this tool call"""

    code = "call_denied"


class Unavailable(AppError):
    """Try again later."""

    code = "unavailable"


class ServerFull(Unavailable):
    """The server runs as many streams as it may; try again in a moment."""

    code = "server_full"


class Draining(Unavailable):
    """The server is shutting down; try again, another process will answer."""

    code = "draining"


class NoSessions(Unavailable):
    """no sessions registered within timeout"""

    code = "no_sessions"


class SessionNotReady(Unavailable):
    """session not ready within timeout"""

    code = "session_not_ready"


class TurnNotEnded(Unavailable):
    """the turn has not ended within timeout"""

    code = "turn_not_ended"


class StoreUnavailable(Unavailable):
    """The database can't be reached at the moment."""

    code = "store_unavailable"


class ToolServerFailed(AppError):
    """A tool server of the agent can't be had, refuses, or does not answer."""

    code = "tool_server_failed"


class MissingEnvironment(AppError):
    """An environment variable that the agent needs is not set."""

    code = "missing_environment"


class InvalidTranscript(AppError):
    """The message does not fit the conversation; the model's API would refuse it."""

    code = "invalid_transcript"


class UnpricedModel(AppError):
    """The model's price is not known, and a budget applies."""

    code = "unpriced_model"


class BatonLost(AppError):
    """Another process has taken over this session's run."""

    code = "interrupted"


class CompactionFailed(AppError):
    """No summary of the conversation could be made. It stays as it is, and its run goes on."""

    code = "compaction_failed"


class RunEnded(AppError):
    """The run ended."""


class BudgetReached(RunEnded):
    """What this may cost has been spent."""

    code = "budget_reached"


class SessionFull(RunEnded):
    """The session holds as many bytes as it may."""

    code = "session_full"

    @classmethod
    def of(cls, held: int, limit: int) -> SessionFull:
        words = "begin a new one, or fork this one at an earlier message"
        return cls(f"The session holds {held:,} bytes of at most {limit:,}: {words}.", held=held, limit=limit)


class HookStopped(RunEnded):
    """A hook of the agent ended the run."""

    code = "hook_blocked"


class TimeReached(RunEnded):
    """The run has worked for as long as it may."""

    code = "time_reached"


class RunCancelled(RunEnded):
    """The run was cancelled."""

    code = "cancelled"


class ThreadInterrupted(RunCancelled):
    """The thread was interrupted before it had an answer."""


class ModelFailed(RunEnded):
    """The model could not be reached or refused the request."""

    code = "model_failed"


class ContextFull(ModelFailed):
    """The conversation does not fit into the model's window, and nothing more of it can be summarized."""

    code = "context_full"


class CallsRepeated(ModelFailed):
    """The model made one call with one result again and again."""

    code = "calls_repeated"


class ModelRefused(RunEnded):
    """The model refused to answer this."""

    code = "refused"
