"""A session apart from its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.conversation.safety import SafetyPolicy

MAX_PATTERNS: Final = 200  # of each kind in a session's permissions
MAX_MODELS: Final = 100  # that a session names for its agents, or remembers

Permissions = Mapping[str, Sequence[str]]  # allow, ask, deny -> patterns


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices that a session's maker has made for it."""

    models: Mapping[str, str] = field(default_factory=dict)  # agent -> the model that it asks here
    models_used: Sequence[str] = ()  # models to choose from again
    without_title: bool = False  # no model makes it one
    thinking_levels: Mapping[str, str] = field(default_factory=dict)  # agent -> how much it thinks here
    without_tasks: bool = False  # its agents give no new tasks away; those below it go by their root's
    pause: bool = False  # its run, or the next one, waits before its next model call


def chosen(choices: Mapping[str, str], names: Sequence[str]) -> str:
    """What was chosen for the agent that has these names, the first of which counts most; empty if nothing was."""
    return next((choice for name in names if (choice := choices.get(name))), "")


def with_choice(choices: Mapping[str, str], names: Sequence[str], choice: str) -> dict[str, str]:
    """The choices with that one for the agent that has these names, in place of any before; empty: without one. The
    oldest of too many go."""
    others = {name: former for name, former in choices.items() if name not in names}
    return {**dict([*others.items()][1 - MAX_MODELS :]), names[0]: choice} if choice else others


@dataclass(frozen=True, slots=True)
class Session:
    """A stored conversation. Times are seconds since the epoch; tokens are those of the last model call."""

    id: str
    created_at: float = 0.0  # by the database's clock, once stored
    title: str = ""
    owner: str = ""  # the name of the token that made it; empty when the server asks for none
    working_dir: str = ""
    tools_approved: bool = False
    thinking: bool = False
    max_iterations: int = 0  # 0: the agent's own value
    permissions: Permissions | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0  # USD, of this session's own model calls
    budget: float | None = None  # USD that it may cost; None: what the server's settings say, 0: no limit
    starred: bool = False
    parent_id: str | None = None
    agent: str = ""  # "key/name" of the agent that a delegated task's session was made for
    handed_to: str = ""  # "key/name" of the agent that it was given to; runs that name none begin there
    compactions: int = 0  # the number of its newest summary
    model: str = ""  # "provider/name" that its runs ask instead of their agents' own models
    chosen_policy: SafetyPolicy = ""  # the one that counts while `tools_approved` does not say more
    choices: Choices = field(default_factory=Choices)

    def holder(self, key: str) -> str:
        """The name of the agent of that file to which it was given; empty if it was given to none of them."""
        given, _, name = self.handed_to.partition("/")
        return name if given == key else ""

    @property
    def safety_policy(self) -> SafetyPolicy:
        """The approval of every tool is the widest policy."""
        return "autonomous" if self.tools_approved else self.chosen_policy


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of the list of sessions."""

    session: Session
    num_messages: int
    active_at: float = 0.0  # when a run ended last, or its messages changed
    status: str = ""  # of the run that has it; empty: none
    agent: str = ""  # "key/name" of whom it was given to, or of its last run

    @property
    def at_work(self) -> bool:
        """Has a run the session?"""
        return bool(self.status)
