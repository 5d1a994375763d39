"""What is settled about a run before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.agent.context import Resumption
from app.agent.loop import Steps
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.runtime.live_run import LiveRun


@dataclass(frozen=True, slots=True)
class Plan:
    """What was settled about a run before anything was written."""

    agent: str  # "key/name"
    loop: Callable[[LiveRun, Session, Sequence[Message], Resumption | None], Steps]
    begin_title: Callable[[LiveRun, Sequence[Message]], None] | None = None


class Planner(Protocol):
    """Finds agents. Cheap and cached: nothing here may start a tool or talk to a model."""

    def plan(self, key: str, name: str | None) -> Plan:
        """AgentNotFound, InvalidAgentConfig, MissingEnvironment."""
        ...
