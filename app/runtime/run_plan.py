"""The decisions about a run before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.agent.loop_steps import Steps
from app.agent.resumption import Resumption
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.runtime.event_translator import EventTranslator
from app.runtime.live_run import LiveRun
from app.runtime.run_clock import LIMIT, shortest


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions about a run before anything was written."""

    agent: str  # "key/name"
    loop: Callable[[LiveRun, Session, Sequence[Message], Resumption | None], Steps]
    begin_title: Callable[[LiveRun, Sequence[Message]], None] | None = None
    run_seconds: float = 0.0  # how long the run may be at work; 0: as long as it takes
    starts_thinking: bool = False  # a session whose first run this is has thinking on from now on
    policy: SafetyPolicy = ""  # and this safety policy, unless one was chosen for it
    holders: Mapping[str, tuple[bool, SafetyPolicy]] = field(default_factory=dict)
    """The agents ("key/name") that begin in place of this one if the session was given to them, whether they start
    thinking, and their policies."""
    translator: Callable[[], EventTranslator] | None = None
    """Makes what tells clients of another door of the run; called on its thread. None if there are none."""

    def options(self, given: Mapping[str, Any] | None, *, within: float = 0.0) -> Mapping[str, Any]:
        """A run's options, with its limit: the plan's own, or what is left `within` the run that starts it."""
        limit = shortest(self.run_seconds, within)
        return {**(given or {}), LIMIT: limit} if limit else given or {}


class Planner(Protocol):
    """Finds agents. Cheap and cached: nothing here may start a tool or talk to a model."""

    def plan(self, key: str, name: str | None) -> Plan:
        """AgentNotFound, InvalidAgentConfig, MissingEnvironment."""
        ...
