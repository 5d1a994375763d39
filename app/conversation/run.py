"""A run, its tool calls as far as they are known, and the model's result for a call that was cut.

States of a run:

    running ──► awaiting_approval | awaiting_input ──► running     somebody was asked; somebody answered
    running ──► finished       the agent is done
    running ──► failed         the model, the store or our own code gave up
    any     ──► cancelled      somebody stopped it, or its reader hung up
    any     ──► interrupted    its process died, or another one took over

The first three hold the baton. Nothing leaves an end state.

States of a tool call:

    pending ──► awaiting_approval ──► pending ──► running ──► completed | failed
                      │                             │  ▲         cancelled | unknown
                      └──► rejected | cancelled     ▼  │
                                               awaiting_input

A call *began* when its handler did, and stays so while the handler asks and is answered. Its outcome is unknown until
it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

RunStatus = Literal[
    "running", "awaiting_approval", "awaiting_input", "finished", "failed", "cancelled", "interrupted"
]
CallState = Literal[
    "pending",
    "awaiting_approval",
    "awaiting_input",
    "running",
    "completed",
    "failed",
    "rejected",
    "cancelled",
    "unknown",
]
QuestionKind = Literal["approval", "elicitation", "max_iterations", "pause"]

LIVE: Final[tuple[RunStatus, ...]] = ("running", "awaiting_approval", "awaiting_input")
WAITING: Final[tuple[RunStatus, ...]] = ("awaiting_approval", "awaiting_input")
FAILED_ENDS: Final[tuple[RunStatus, ...]] = ("failed", "cancelled", "interrupted")
OPEN_CALL: Final[tuple[CallState, ...]] = ("pending", "awaiting_approval", "awaiting_input", "running")


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds a run: where it lives and how to tell that it is still the same one."""

    host: str
    boot: str
    pid: int
    started: str  # the process's start time as its kernel counts it

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


RETRIES: Final = "retries"
"""The option of a run that takes up again what another one failed to answer: the id of the first that did."""

COMPACTION: Final = "compaction"
"""The option of a run that only compacts the session: the words for the model that sums it up."""

AT_SAFE_POINT: Final = "at-safe-point:"
"""Prefix of a stop request, in the database, that lets the calls under way finish first."""

Liveness = Literal["gone", "alive", "unknown"]
"""A process's judgement of another one: the first two only if it is certain."""

Probe = Callable[[Owner], Liveness]
"""Looks for an owner's process from here."""


@dataclass(frozen=True, slots=True)
class Baton:
    """The right to write to a session, as every write of a run shows it to the store."""

    run_id: str
    session_id: str
    epoch: int = 0
    write: int = 0  # numbers a write that may have to be repeated; 0 for one that is not
    told: Sequence[Any] = field(default=(), compare=False)
    """Further writes of the store: the events that clients of the Managed Agents API are told of this one."""


@dataclass(frozen=True, slots=True)
class Run:
    """One request that makes an agent work on a session."""

    id: str
    session_id: str
    agent: str  # "key" or "key/name"
    status: RunStatus
    started_at: float
    owner: Owner
    lease_expires_at: float
    epoch: int = (
        0  # rises when its process lets go of it, and when one goes on; with the id the fencing token
    )
    writes: int = 0  # the number of its last numbered write
    ended_at: float | None = None
    waiting_for: Question | None = None
    error: str = ""
    code: str = ""
    stopped_by: str = ""
    first_event: int = 0  # the number of its first event
    last_event: int | None = None  # and of its last, once it has ended
    options: dict[str, Any] = field(default_factory=dict)
    worked_seconds: float = 0.0  # before its last question
    is_stopping: bool = (
        False  # it was told to stop, or got no leave for more turns, and does nothing more but end
    )

    @property
    def baton(self) -> Baton:
        return Baton(self.id, self.session_id, self.epoch)

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def is_paused(self) -> bool:
        """It waits, before a model call, for somebody who ends the pause."""
        return self.waiting_for is not None and self.waiting_for.kind == "pause"

    @property
    def has_failed(self) -> bool:
        """It has ended, and not because its agent was done."""
        return self.status in FAILED_ENDS

    @property
    def key_and_name(self) -> tuple[str, str]:
        """The key of its agent file, and the agent's name in it."""
        key, _, name = self.agent.partition("/")
        return key, name

    @property
    def busy_code(self) -> str:
        if self.is_stopping:
            return "stopping"
        if self.is_paused:
            return "session_busy"
        return self.status if self.status in WAITING else "session_busy"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A row of the ledger."""

    id: str
    run_id: str
    name: str
    arguments: dict[str, Any]  # the model's, or a person's in place of them
    state: CallState = "pending"
    decision: str = ""
    decided_by: str = ""
    reason: str = ""
    broken: bool = False  # its arguments are not JSON

    @property
    def is_decided(self) -> bool:
        """It is past its beginning, or somebody has had a word about it."""
        return self.state != "pending" or bool(self.decision)

    def is_changed(self, own: Mapping[str, Any]) -> bool:
        """Has a person approved it with other arguments than the model's `own`?"""
        return self.decision == "approve" and self.arguments != own


@dataclass(frozen=True, slots=True)
class Question:
    """The question that a run waits on: the decision on a tool call, a form, leave to go on, or the end of a pause."""

    kind: QuestionKind
    session_id: str  # the run's own, or that of a delegated task inside it
    call_id: str = ""
    name: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    id: str = ""  # given when it is asked, so that an answer can't meet another question
    asked_at: float = 0.0  # by the database's clock, once stored

    @property
    def status(self) -> RunStatus:
        return "awaiting_input" if self.kind == "elicitation" else "awaiting_approval"


_REFUSAL: Final = "refusal"
_ENDS_RUN: Final = {"ends_run": True}
"""Stands where a form's values would. Earlier versions, which share the database during an upgrade, refuse an answer
with a field that they don't know."""


_ARGUMENTS: Final = "arguments"
"""The key of changed arguments, in the same place."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer to a question.

    `decision` is one of those that the question's kind takes (`DECISIONS`). A `question_id` says that the answer
    is for that question alone.
    """

    decision: str
    reason: str = ""
    tool_name: str = ""
    content: dict[str, Any] | None = None
    by: str = ""
    question_id: str = ""

    @property
    def ends_run(self) -> bool:
        """The run has nothing left to do but to end. A form may have been filled in with the same words."""
        return self.decision in DECISIONS["max_iterations"] and self.content == _ENDS_RUN

    @property
    def refusal(self) -> str:
        """What the model is told of a call that was rejected; empty for the usual words and the reason."""
        return str((self.content or {}).get(_REFUSAL, ""))

    def refusing(self, words: str) -> Answer:
        """The same answer, of which the model is told in these words."""
        return replace(self, content={_REFUSAL: words})

    def ending_run(self) -> Answer:
        """The same answer, which ends its run."""
        return replace(self, content=_ENDS_RUN)

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments that an approved call runs with in place of its own."""
        if self.decision != "approve" or not self.content:
            return None
        return self.content.get(_ARGUMENTS)

    def changing(self, arguments: Mapping[str, Any]) -> Answer:
        """The same approval of a call, which runs with these arguments."""
        return replace(self, content={_ARGUMENTS: dict(arguments)})


DECISIONS: Final[Mapping[str, frozenset[str]]] = {
    "approval": frozenset(
        {
            *("approve", "approve-session", "approve-tool", "approve-balanced", "approve-autonomous"),
            *("reject", "expired"),
        }
    ),
    "elicitation": frozenset({"accept", "decline", "cancel", "expired"}),
    "max_iterations": frozenset({"approve", "reject", "expired"}),
    "pause": frozenset({"resume", "expired"}),
}
"""The answers to each kind of question; `expired` is the server's word for a question that stood too long."""

Ending = Literal["cancelled", "failed", "interrupted"]


def unknown_outcome(reason: str) -> str:
    """The result that the model gets for a call that may or may not have taken effect."""
    return f"It is not known whether this tool call took effect: {reason}. Check before you repeat it."


def closing_text(began: bool, ending: Ending) -> tuple[CallState, str]:
    """The final state of a call that its run left open, and the result that the model gets for it. The reason why
    the call waited does not matter, only whether its handler began."""
    if began:
        return "unknown", unknown_outcome("it was cut off while it was running")
    if ending == "cancelled":
        return "cancelled", "The tool call was canceled by the user."
    return "cancelled", f"This tool call was not run: the run {_WORDS[ending]} before its turn came."


_WORDS: Final = {"failed": "failed", "interrupted": "was interrupted"}
