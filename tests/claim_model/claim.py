"""One session's row and a few processes that want it: their knowledge, and the rules that the store keeps.

The model knows the truth (which process holds the row at this moment, and what its tool did) and judges each step by
it. The rules, which may be left out one by one, are what Baton does about it. The steps are in `steps.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_RUNS = 2
MAX_TAKES = 1  # how often a run may change hands

At = Literal[
    "idle",
    "begun",
    "called",  # its model has called a tool
    "asking leave",  # to make the call
    "allowed",
    "started",  # the tool's handler runs
    "acted",
    "asking a form",  # for the tool, which works on
    "answered",
    "cut off",  # it goes on with a run whose call had begun elsewhere
    "done",
    "taken",  # it has the run and the answer, but no thread for it yet
    "leaving",  # it has let go of the run; its heartbeat may come once more
    "stopped",  # for good, inside a transaction
]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that stand between a late or careless process and the session. The defaults are what Baton does."""

    fence: Literal["none", "checked before", "run only", "run and epoch"] = "run and epoch"
    fenced_release: bool = True
    takes_over: bool = True
    parks: Literal["never", "blindly", "what still waits"] = "what still waits"
    parking_raises_epoch: bool = True
    answer_needs_taker: bool = True
    thread_before_taking: bool = True
    begins_before_handler: bool = True  # it is stored that the call begins before its handler runs
    answer_keeps_begun: bool = True  # and that it began is not forgotten when its handler asks
    adopter_goes_on_counting: bool = True  # the numbers of writes
    adopter_reserves: bool = True  # the numbers of events
    ends_open_transactions: bool = True  # of a process that is stopped inside one


@dataclass(frozen=True, slots=True)
class Row:
    """The session's newest run, as the database has it. `died` and `acted` are the truth, which no process knows."""

    run: int = 0
    epoch: int = 0
    status: Literal["ended", "running", "waiting"] = "ended"
    expired: bool = False  # its lease has run out
    parked: bool = False
    call: Literal["none", "pending", "began"] = "none"
    writes: int = 0  # the number of the last one
    reserved: bool = True  # no event was shown whose number is not reserved
    takes: int = 0
    died: bool = False  # its holder did
    acted: bool = False  # the tool of its call did


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """The beliefs of one process. It may be paused anywhere: then the others take steps, and it does not."""

    at: At = "idle"
    run: int = 0
    epoch: int = 0
    writes: int = 0
    inside: bool = False  # its transaction is open, and its look at the row behind it


@dataclass(frozen=True, slots=True)
class State:
    row: Row
    processes: tuple[Process, ...]

    @property
    def alike(self) -> State:
        """The same for all states that differ only in which process is which."""
        return State(self.row, tuple(sorted(self.processes)))


@dataclass(frozen=True, slots=True)
class Step:
    """`wrong` says what must never happen, if this step was it."""

    words: str
    after: State
    wrong: str = ""


def beginning(processes: int) -> State:
    return State(Row(), (Process(),) * processes)


def holds(row: Row, process: Process) -> bool:
    """The truth."""
    return row.status != "ended" and (row.run, row.epoch) == (process.run, process.epoch)


def is_dropped(state: State) -> bool:
    """Does a run go on without a process, though no process died? Then what a person answered is lost."""
    row = state.row
    if row.status != "running" or row.died:
        return False
    return not any(holds(row, process) and process.at != "leaving" for process in state.processes)
