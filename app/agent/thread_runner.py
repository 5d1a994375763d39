"""Lets a colleague answer a message in its thread, which remembers the messages before it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from app.agent.delegation import FAILED, NO_TASKS, child_session
from app.agent.loop_steps import ChildAdded, MessagesAdded, Step, ThreadRested
from app.agent.messaging import ToThread, answer_of, chosen_thread
from app.agent.task_runner import Child, TaskRunner
from app.agent.toolset import Delegation, ToolResult
from app.conversation.blocks import text_block
from app.conversation.session_thread import SessionThread
from app.conversation.transcript import Message
from app.errors import ThreadInterrupted


class ThreadRunner(TaskRunner):
    """For one call of `send_to_agent`."""

    def run(self, call_id: str, task: Delegation | None) -> Generator[Step, Any, ToolResult]:
        """Without a `task` it goes on with the thread that has asked something when its process died."""
        if task is not None and not self.context.may_delegate():
            return ToolResult.error(NO_TASKS)
        if isinstance(task, ToThread):
            chosen = chosen_thread(task, self.context.threads(self.session.id))
            if isinstance(chosen, ToolResult):
                return chosen
            session, child = yield from self._addressed(call_id, task, chosen)
        else:
            question = self.resumption.question
            assert question is not None  # noqa: S101 - its process died while somebody was asked
            session, child = question.session_id, self._begun(question.session_id)
        failed = yield from self.follow(child, session)
        if failed is None:
            yield ThreadRested(session, child.last_words)
            return ToolResult(answer_of(session, child.last_words))
        interrupted = isinstance(failed, ThreadInterrupted)
        words = failed.message if interrupted else f"{FAILED}{failed.message}"
        yield ThreadRested(session, words, failed.code, failed.details, interrupted)
        return ToolResult.error(answer_of(session, words))

    def _addressed(
        self, call_id: str, message: ToThread, thread: SessionThread | None
    ) -> Generator[Step, Any, tuple[str, Child]]:
        """The thread, or a new one, that has been given the message."""
        team = self.context.team
        target = team.agent(message.agent)
        if thread is None:
            above = self.context.look(self.session.id)
            session = child_session(above, self.session, team.key, target, call_id)
            rows = [_said(message, position=0)]
            yield ChildAdded(session, rows)
        else:
            session, known, _ = self.context.read(thread.session.id)
            said = _said(message, position=known[-1].position + 1 if known else 0)
            yield MessagesAdded(session.id, [said])
            rows = [*known, said]
        return session.id, self.begin(self.context, session, target, rows, depth=self.depth + 1)


def _said(message: ToThread, *, position: int) -> Message:
    return Message("user", (text_block(message.task),), implicit=True, position=position)
