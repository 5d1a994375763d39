"""The loop's surroundings: everything it needs that is not a value of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.agent.answer_cache import AnswerCache
from app.agent.fallback import Cooldowns
from app.agent.hook_answers import Hooking
from app.agent.kept_history import KeptHistory
from app.agent.model_client import Cancellation, ModelClient
from app.agent.run_budgets import RunBudgets
from app.agent.tool_threads import ToolThreads
from app.agent.toolbox import Toolbox
from app.conversation.events import Event
from app.conversation.frozen_prompt import FrozenPrompt, Surroundings
from app.conversation.outcome import Outcome
from app.conversation.run import ToolCall
from app.conversation.session import Session
from app.conversation.session_thread import SessionThread
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.roots import Ground
from app.team.agent import Agent
from app.team.team import Team


@dataclass(frozen=True, slots=True)
class LoopContext:
    """One per run. The functions read, and wait for a database that is away; only steps write."""

    team: Team
    client: ModelClient
    cancellation: Cancellation
    new_id: Callable[[], str]  # names a message that nobody else has
    look: Callable[[str], Session]  # the session as it is now, with what was toggled meanwhile
    find_prompt: Callable[[str, str, Sequence[str]], FrozenPrompt | None]
    """For session, agent and definitions: the prompt of the first of these; or of the last that has one, if the first
    has."""
    find_summary: Callable[[str], Summary | None]  # the session's newest
    publish: Callable[
        [Event], None
    ]  # what tells of no fact, from any thread, while the loop waits for its model or a tool
    cooldowns: Cooldowns
    surroundings: Callable[[Session, Agent], Surroundings]
    equip: Callable[[Session, Agent], Toolbox]
    hook: Callable[[Session, Agent], Hooking]
    read: Callable[
        [str], tuple[Session, Sequence[Message], Mapping[str, ToolCall]]
    ]  # a session that was begun
    tool_threads: ToolThreads = field(default_factory=ToolThreads)  # the process's
    thinks: Callable[[str], bool] | None = None
    """Whether the session's thinking is on for the turn that begins; None: as `look` says."""
    check_budget: Callable[[], None] = lambda: None  # BudgetReached if no more may be spent
    check_price: Callable[[str], None] = lambda _model: None
    """UnpricedModel if the model's cost would escape the budget."""
    answers: AnswerCache = field(default_factory=AnswerCache)  # the process's
    find_outcome: Callable[[str], Outcome | None] = lambda _session: None
    """The outcome that the session's agent works towards."""
    budgets: RunBudgets = field(default_factory=RunBudgets)  # that the agent's file sets
    prefer: Callable[[Session, Agent], Agent] = lambda session, agent: agent.asking(session.model)
    """The agent with the model that was chosen for it, by a request or by itself."""
    as_chosen: Callable[[Session, Agent], Agent] = lambda session, agent: agent.asking(session.model)
    """The same, whatever it has chosen by itself."""
    may_delegate: Callable[[], bool] = lambda: True
    """Whether the conversation gives new tasks away, at this moment."""
    threads: Callable[[str], Sequence[SessionThread]] = lambda _session: ()
    """The sessions of threads below a session, the oldest first."""
    is_interrupted: Callable[[str], bool] = lambda _session: False
    """Whether somebody wants a thread, by its session, to stop at its next safe point."""
    session_bytes: int = 0  # that a session may hold; 0: any number
    tell_full: Callable[[str], None] = lambda _session: None  # told of one that holds as many
    deny_wins: bool = True  # over every approval; else the session's approvals come first
    attended: bool = True  # somebody follows the run, who can be asked
    kept: KeptHistory = field(default_factory=KeptHistory)  # by earlier runs of the run's session
    ground: Ground = field(default_factory=Ground)  # where the sessions of the run's owner may work
