"""Calls of a turn that wait for clients of the Managed Agents API, and the decisions of clients on them.

A call that a person is asked about has its first decision with the confirmation. If a worker makes the call, it has its
last one with the result. A call that a client makes unasked has both with the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from app.conversation.managed_events import BLOCKS
from app.conversation.run import Answer, Question
from app.managed.event_threads import stopped_by
from app.managed.policies import Policies
from app.store.call_decisions import DECISIONS, Decided
from app.store.store import Store
from app.store.told_events import Told, told_row

RESOLVED: Final = "resolved_content"
"""The key in an event's body of its content with what the files hold that it names. Clients are not told it."""

INTERRUPTED: Final = "Tool execution was interrupted before completion. Please retry."


def interrupted_answer(question: Question) -> Answer:
    """An answer to the question of a thread that a client has interrupted."""
    if question.kind == "elicitation":
        said = {BLOCKS: [{"type": "text", "text": INTERRUPTED}], "is_error": True}
        return Answer("accept", content=said, by="server")
    return Answer("reject", by="server").refusing(INTERRUPTED)


def changed_answer() -> Answer:
    """The result of a call that no worker makes, since its arguments are others than those that the worker knows."""
    words = "This call was not made: its arguments were changed, and the worker knows only the call as it was written."
    said = {BLOCKS: [{"type": "text", "text": words}], "is_error": True}
    return Answer("accept", content=said, by="server")


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that a client has to decide on or to make. `event` tells of it; `asks`: a person is asked about it first;
    `result` is the type of the event by which a client or a worker makes it, empty if only the server can. `thread` is
    the id of the thread that has made it, empty for the primary one. `alone`: its permission is judged when it is made,
    so the run goes on with it whatever the turn's other calls wait for."""

    event: str
    name: str
    asks: bool
    result: str
    thread: str = ""
    alone: bool = False

    @classmethod
    def of(cls, event: Told, policies: Policies) -> Self:
        """The open call for which a session is idle. A thread has other policies than the session's agent: the event
        says whether the client makes the call."""
        name, asks = event.body["name"], event.body.get("evaluated_permission") == "ask"
        thread, result = str(event.body.get("session_thread_id") or ""), ""
        if event.type == "agent.custom_tool_use":
            result = "user.custom_tool_result"
        elif event.type == "agent.tool_use" and name in policies.of_workers():
            result = "user.tool_result"
        return cls(event.id, name, asks, result, thread, policies.judged_late)

    def waits(self, decided: Decided | None, *, for_last: bool) -> bool:
        """For its first decision, or also for its last one?"""
        if decided is None:
            return True
        if not self.asks:
            return decided.result is None
        if decided.confirmation is None:
            return True
        return for_last and bool(self.result) and not decided.is_denied and decided.result is None

    def is_for_worker(self, decided: Decided | None) -> bool:
        """Can a worker make it now?"""
        if self.result != "user.tool_result":
            return False
        return not self.asks or (decided is not None and decided.confirmation is not None)


def open_calls(store: Store, session_id: str) -> dict[str, OpenCall]:
    """The calls for which the session is idle."""
    found, known = store.told.open_calls(session_id), store.managed.settings(session_id)
    if not found or known is None:
        return {}
    policies = Policies.of_session(known[0])
    return {call: OpenCall.of(event, policies) for call, event in found.items()}


def unanswered(
    calls: Mapping[str, OpenCall],
    decided: Mapping[str, Decided],
    question: Question,
    stops: Iterable[Told] = (),
) -> dict[str, str]:
    """The events of the calls that keep the run from going on with its question, by the call. All calls of a turn have
    their first decisions before it does; once it has come to make one that was asked about, all have their last.
    Those of threads that `stops` stop keep it from nothing."""
    stopped = stopped_by(stops)
    asked = calls.get(question.call_id)
    if asked is not None and asked.alone:
        calls = {question.call_id: asked}
    for_last = question.kind == "elicitation" and asked is not None and asked.asks
    return {
        call_id: call.event
        for call_id, call in calls.items()
        if call.thread not in stopped and call.waits(decided.get(call_id), for_last=for_last)
    }


def with_rows(decided: Mapping[str, Decided], rows: Sequence[Mapping[str, Any]]) -> dict[str, Decided]:
    """The decisions with those of events that are about to be stored."""
    found = dict(decided)
    for row in rows:
        if row["type"] in DECISIONS:
            found[row["call_id"]] = found.get(row["call_id"], Decided()).having(told_row(dict(row)))
    return found


def answer_of(decided: Decided | None, question: Question, *, by: str = "") -> Answer | None:
    """An answer to the run's question about a call, from what clients have decided; None if they have not."""
    event = None if decided is None else decided.event_for(question.kind)
    if event is None:
        return None
    body = event.body
    if question.kind == "elicitation":
        blocks = body.get(RESOLVED) or body.get("content") or []
        said = {BLOCKS: blocks, "is_error": body.get("is_error") is True}
        return Answer("accept", content=said, by=by)
    if body["result"] == "allow":
        return Answer("approve", by=by)
    reason = body.get("deny_message") or ""
    words = f"Permission to use {question.name} has been rejected."
    return Answer("reject", by=by).refusing(f"{words} Rejection message: {reason}" if reason else words)
