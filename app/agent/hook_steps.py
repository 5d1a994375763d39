"""Hooks as steps of a loop: they run, and readers are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from app.agent.hook_answers import NOTHING_SAID, Hooking, HookVerdict
from app.agent.loop_steps import Step
from app.agent.model_client import Cancellation
from app.conversation.events import Warning
from app.conversation.hook_events import HookFinished, HookStarted
from app.conversation.session import Session
from app.team.agent import Agent
from app.team.hook_points import POINTS

TOLD_CHARS: Final = 2_000  # of a reason, in the event that tells of the end; the refusal itself has all of it

Firing = Generator[Step, Any, HookVerdict]


class HookSteps:
    """The hooks of one agent at work on one session. Owned by the run's thread. None runs after a cancel."""

    def __init__(self, cancellation: Cancellation, session: Session, agent: Agent, runner: Hooking) -> None:
        self._cancellation = cancellation
        self._session_id = session.id
        self._agent = agent
        self._runner = runner

    def stop(self) -> None:
        self._runner.stop()

    def tell_of_question(self) -> None:
        self._runner.tell_of_question()

    def fire(self, point: str, **given: Any) -> Firing:
        """Without keys that are empty."""
        given = {"agent_name": self._agent.name, **{key: value for key, value in given.items() if value}}
        return (yield from self._told(point, partial(self._runner.at, point, **given)))

    def _told(self, point: str, run: Callable[[], HookVerdict], tool: str = "") -> Firing:
        if self._cancellation.is_set() or not self._runner.has(point, tool):
            return NOTHING_SAID
        about = {"agent_name": self._agent.name, "session_id": self._session_id, "hook_event": point}
        if POINTS[point].told:
            yield HookStarted(**about)
        began = time.monotonic()
        said = run()
        if POINTS[point].told:
            duration = int((time.monotonic() - began) * 1000)
            reason = said.reason[:TOLD_CHARS]
            yield HookFinished(**about, duration_ms=duration, allowed=not said.blocked, message=reason)
        if self._cancellation.is_set():
            return said  # it was stopped, which is no failure of its own
        for words in said.warnings:
            yield Warning(agent_name=self._agent.name, message=words)
        return said
