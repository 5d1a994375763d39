"""Sessions as JSON, key for key as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from app.conversation.run import Run
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Session, SessionSummary
from app.conversation.wire_content import message_id_of
from app.store.store import Store
from app.web.json_streaming import PAGE, Listed
from app.web.message_json import StoredMessageJson, message_payload
from app.web.response_json import IfAny, Patterns, Time, time_text, without_empty
from app.web.run_json import RunJson, run_payload


class CreatedSessionJson(TypedDict):
    """`left_out`: the parts of an import that have no place here, in words; not there if that is nothing."""

    id: str
    title: str
    messages: None
    created_at: Time
    tools_approved: bool
    safety_policy: NotRequired[SafetyPolicy]
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
    agent_model_overrides: NotRequired[IfAny[Mapping[str, str]]]
    custom_models_used: NotRequired[Sequence[str]]
    disable_title: NotRequired[bool]


class SessionSummaryJson(TypedDict):
    """`streaming`: a run is at work on it, in whatever process, whose `status` is there then. `last_active_at`: when a
    run of it ended last, or its messages changed; not there as long as none of that has been. `agent`: whose
    it is; not there before its first run."""

    id: str
    title: str
    created_at: Time
    last_active_at: NotRequired[Time | None]
    agent: NotRequired[str]
    status: NotRequired[str]
    num_messages: int
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    owner: NotRequired[str]
    streaming: NotRequired[bool]


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
    safety_policy: NotRequired[SafetyPolicy]
    thinking: bool
    input_tokens: int
    output_tokens: int
    working_dir: NotRequired[str]
    owner: NotRequired[str]
    budget: NotRequired[IfAny[float]]
    model: NotRequired[str]
    permissions: NotRequired[IfAny[Patterns]]
    agent_model_overrides: NotRequired[IfAny[Mapping[str, str]]]
    custom_models_used: NotRequired[Sequence[str]]
    disable_title: NotRequired[bool]
    tasks: NotRequired[list[TaskJson]]
    run: NotRequired[IfAny[RunJson]]
    first_position: NotRequired[int]


def created_session(session: Session, left_out: Sequence[str]) -> CreatedSessionJson:
    """The answer to a creation."""
    body: CreatedSessionJson = {
        "id": session.id,
        "title": session.title,
        "messages": None,
        "created_at": time_text(session.created_at, whole=False),
        "tools_approved": session.tools_approved,
        "safety_policy": session.safety_policy,
        "thinking": session.thinking,
        "hide_tool_results": False,
        "working_dir": session.working_dir,
        "SendUserMessage": True,
        "max_iterations": session.max_iterations,
        "starred": session.starred,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "cost": session.cost,
        "permissions": session.permissions,
        "agent_model_overrides": session.choices.models or None,
        "custom_models_used": session.choices.models_used,
        "disable_title": session.choices.without_title,
        "left_out": list(left_out),
    }
    return without_empty(CreatedSessionJson, body)


def session_summary(summary: SessionSummary) -> SessionSummaryJson:
    session = summary.session
    body: SessionSummaryJson = {
        "id": session.id,
        "title": session.title,
        "created_at": time_text(session.created_at),
        "last_active_at": time_text(summary.active_at) if summary.active_at > session.created_at else None,
        "agent": summary.agent,
        "status": summary.status,
        "num_messages": summary.num_messages,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "working_dir": session.working_dir,
        "owner": session.owner,  # ours: for those who see everybody's
        "streaming": summary.at_work,
    }
    return without_empty(SessionSummaryJson, body)


def _task(session: Session) -> TaskJson:
    """Ours: the contract puts a task's messages between those of who gave it away."""
    return {
        "id": session.id,
        "title": session.title,
        "agent": session.agent.partition("/")[2],
        "created_at": time_text(session.created_at),
    }


class SessionView:
    """Shows a session with its messages, which are read and written page by page. Shared by all request threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shown(
        self,
        session: Session,
        run: Run | None,
        *,
        first: int = 0,
        last: int | None = None,
        more: Mapping[str, Any] | None = None,
        always: bool = False,
        with_ids: bool = False,
    ) -> Listed:
        """With the messages from one position to another; all that are there now, unless it is said. `more` is
        added to the session's own fields; `always`: with `messages` also if there are none; `with_ids`: with
        those by which events name messages. `run`: the one that has the baton, and what it waits for."""
        store = self._store
        definitions = store.sessions.tool_definitions(session.id)
        end = store.sessions.last_position(session.id) if last is None else last
        pages = (
            [
                message_payload(
                    message,
                    definitions,
                    message_id_of(session.id, message) if with_ids else "",
                )
                for message in store.sessions.page_of_messages(
                    session.id, first=begin, last=min(begin + PAGE - 1, end)
                )
            ]
            for begin in range(first, end + 1, PAGE)
        )
        after: dict[str, Any] = {**self.fields(session, run), **(more or {})}
        before = {key: after.pop(key) for key in ("id", "title")}
        return Listed(before, "messages", pages, after, always)

    def fields(self, session: Session, run: Run | None) -> SessionDetailJson:
        """All but the messages."""
        tasks = self._store.sessions.tasks(session.id)
        body: SessionDetailJson = {
            "id": session.id,
            "title": session.title,
            "created_at": time_text(session.created_at),
            "tools_approved": session.tools_approved,
            "safety_policy": session.safety_policy,
            "thinking": session.thinking,
            "input_tokens": session.input_tokens,
            "output_tokens": session.output_tokens,
            "working_dir": session.working_dir,
            "owner": session.owner,
            "model": session.model,
            "budget": session.budget,
            "permissions": session.permissions,
            "agent_model_overrides": session.choices.models or None,
            "custom_models_used": session.choices.models_used,
            "disable_title": session.choices.without_title,
            "run": run_payload(run, whole=True) if run is not None else None,
            "tasks": [_task(task) for task in tasks],
        }
        return without_empty(SessionDetailJson, body)
