"""The loop's steps besides events: facts to be stored, and questions to be answered.

The loop knows no store. Its driver stores each fact before it takes the next step from it, so an event that comes
after a fact tells of something that is already stored. Questions are answered through `send`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.conversation.events import Event
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.outcome import Outcome
from app.conversation.run import CallState, Question
from app.conversation.session import Session
from app.conversation.summary import Summary
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.errors import BudgetReached, HookStopped, ModelFailed, ModelRefused, SessionFull

FAILURES: Final = (ModelFailed, ModelRefused, BudgetReached, SessionFull, HookStopped)
"""How a run can fail that has the conversation in order."""


@dataclass(frozen=True, slots=True)
class PromptFrozen:
    """The prompt of the turns that name its digest. Nobody will ask for it before there is one."""

    session_id: str
    prompt: FrozenPrompt


@dataclass(frozen=True, slots=True)
class MessagesAdded:
    """Rows that are neither a model's turn nor a tool's result."""

    session_id: str
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class TurnAdded:
    """A model's turn. `tokens` are what the model read and wrote, None if it did not say; `broken` the calls whose
    arguments are not JSON."""

    session_id: str
    message: Message
    tokens: tuple[int, int] | None
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """A request to a model is about to be made, perhaps again, for a message of that id. Nothing but a notice."""

    session_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class ModelRetried:
    """A request to a model has failed and is made again. `status` is the API's answer, None if there was none. Nothing
    but a notice."""

    session_id: str
    words: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ServerLeftOut:
    """A tool server of a client's agent can't be had, and the run goes on without it. Nothing but a notice."""

    session_id: str
    server: str
    words: str
    is_unauthorized: bool = False


@dataclass(frozen=True, slots=True)
class TurnRefused:
    """The model refused to go on; the user's rows that it refused are not shown to it again."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of model calls, in dollars, of which no message is stored: refused, empty, cut before anything could be
    kept, or followed by another attempt. `tokens` are what the last of them read and wrote, if it came to its end."""

    session_id: str
    cost: float
    tokens: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Condensed:
    """The model is shown a summary from now on, instead of the older messages; these stay stored."""

    session_id: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class PicturesLeftOut:
    """The model is not shown the pictures of the rows at these positions any more; they stay stored. The summary
    begins the new prompt of what is left."""

    session_id: str
    positions: Sequence[int]
    summary: Summary


@dataclass(frozen=True, slots=True)
class OutcomeEvaluation:
    """The grading of an outcome: its `start`, that it is `ongoing`, or its result. With the result comes what the agent
    is told of it, and what the grader has used; `cost` is in dollars."""

    session_id: str
    outcome: Outcome
    state: str
    explanation: str = ""
    usage: Usage | None = None
    cost: float = 0.0
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class CallStarting:
    """A tool's handler runs as soon as this is stored; `beside` others of the same turn, perhaps."""

    session_id: str
    call_id: str
    tool: str
    beside: bool = False


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A tool row, and how the call ended. `states` is what its toolset wants to find again, by key."""

    session_id: str
    message: Message
    state: CallState
    states: Mapping[str, Any] = field(default_factory=dict)

    @property
    def call_id(self) -> str:
        return str(self.message.content[0]["tool_use_id"])


@dataclass(frozen=True, slots=True)
class ChildAdded:
    """A session for a delegated task, with its first messages."""

    session: Session
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """Another agent of the team has the session from now on, in later runs too."""

    session_id: str
    agent: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Answered with an `app.conversation.run.Answer`. `event` tells readers of the question, once stored.

    `handler_ended`: the answer becomes the call's result, so no handler waits for it.
    """

    question: Question
    event: Event
    handler_ended: bool = False


@dataclass(frozen=True, slots=True)
class SafePoint:
    """Every call has its result: the one place where new user messages may enter.

    Answered with the messages that were put in, as stored; readers are not told of them yet.
    `ending` says that the run will end if there are none; else it may be paused here, before the `agent` goes on.
    """

    session_id: str
    ending: bool = False
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ThreadRested:
    """An agent has done with a message to its thread. `words` are its answer, or say why there is none: it has failed
    with that `code`, or was `interrupted`. Nothing but a notice."""

    session_id: str
    words: str
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False


Fact = (
    PromptFrozen
    | MessagesAdded
    | TurnAdded
    | TurnRefused
    | Spent
    | Condensed
    | PicturesLeftOut
    | CallStarting
    | CallEnded
    | ChildAdded
    | AgentChanged
    | OutcomeEvaluation
)
Notice = ModelAsked | ModelRetried | ServerLeftOut | ThreadRested
"""Steps of which only the clients of another door are told."""
Step = Event | Fact | Notice | Ask | SafePoint
Steps = Generator[Step, Any, None]
