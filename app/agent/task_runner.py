"""Lets a colleague do a task in a session of its own, whose events go to the same readers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from app.agent.delegation import FAILED, MAX_DEPTH, NO_TASKS, child_id, child_session, first_message
from app.agent.loop_context import LoopContext
from app.agent.loop_events import agent_info
from app.agent.loop_hooks import LoopHooks
from app.agent.loop_steps import FAILURES, ChildAdded, Step, Steps
from app.agent.resumption import Resumption
from app.agent.toolset import Delegation, ToolResult
from app.conversation import events
from app.conversation.session import Session
from app.errors import AppError, ThreadInterrupted
from app.team.agent import Agent


class Child(Protocol):
    """A loop on the task's session."""

    @property
    def agent(self) -> Agent:
        """The agent that has the session; a hand-off gives it to another one."""
        ...

    @property
    def last_words(self) -> str: ...

    def run(self) -> Steps: ...


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """For one call of `transfer_task`. The `parent` is the agent that made it, `speaking` the same with the models that
    speak for it now; `begin` makes a loop."""

    context: LoopContext
    session: Session
    parent: Agent
    speaking: Agent
    hooks: LoopHooks
    resumption: Resumption
    depth: int
    begin: Callable[..., Child]

    def run(self, call_id: str, task: Delegation | None) -> Generator[Step, Any, ToolResult]:
        """Without a `task` it goes on with the one that was at work when its process died."""
        if self.depth >= MAX_DEPTH:
            return ToolResult.error("Tasks are nested too deeply; do this one yourself.")
        if task is not None and not self.context.may_delegate():
            return ToolResult.error(NO_TASKS)
        session = child_id(self.session.id, call_id)
        child = (yield from self._new(call_id, task)) if task else self._begun(session)
        failed = yield from self.follow(child, session)
        return ToolResult.error(f"{FAILED}{failed.message}") if failed else ToolResult(child.last_words)

    def follow(self, child: Child, session: str) -> Generator[Step, Any, AppError | None]:
        """Lets the child work on its session, and says how it has failed, if it has."""
        mine, name = self.parent.name, child.agent.name
        yield events.AgentSwitching(agent_name=name, switching=True, from_agent=mine, to_agent=name)
        yield from self.hooks.switched(self.parent, child.agent, "transfer_task")
        yield agent_info(child.agent)
        failed: AppError | None = None
        reason = events.NORMAL
        try:
            yield from child.run()
        except FAILURES as error:
            failed, reason = error, events.stop_reason(error.code)
            yield events.Error(error=error.message, session_id=session, code=error.code)
        except ThreadInterrupted as error:
            failed, reason = error, events.CANCELLED
        yield events.StreamStopped(agent_name=name, session_id=session, reason=reason)
        yield from self.hooks.task_ended(session, name, child.last_words)
        yield from self.hooks.switched(child.agent, self.parent, "transfer_task_return")
        yield events.AgentSwitching(agent_name=mine, switching=False, from_agent=name, to_agent=mine)
        yield agent_info(self.speaking)
        return failed

    def _new(self, call_id: str, task: Delegation) -> Generator[Step, Any, Child]:
        team, target = self.context.team, self.context.team.agent(task.agent)
        above = self.context.look(self.session.id)
        session = child_session(above, self.session, team.key, target, call_id)
        rows = [first_message(task)]
        yield ChildAdded(session, rows)
        return self.begin(self.context, session, target, rows, depth=self.depth + 1)

    def _begun(self, session_id: str) -> Child:
        session, rows, ledger = self.context.read(session_id)
        target = self.context.team.agent(session.agent.partition("/")[2])
        turns = sum(row.role == "assistant" for row in rows)
        resumption = replace(self.resumption, ledger=ledger, turns=turns)
        return self.begin(self.context, session, target, rows, resumption=resumption, depth=self.depth + 1)
