"""One session's row and a few processes that want it: every step that any of them can take, from any state.

The model knows the truth (who holds the row at this moment) and judges each step by it. The rules, which may
be weakened one by one, are what the store does about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

MAX_RUNS = 3
MAX_EPOCH = 1
WRITES = 2  # that a process makes before it is done

Activity = Literal["idle", "working", "checked", "asking"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What stands between a late writer and the session. The defaults are what Baton does."""

    fence: Literal["none", "checked before", "run only", "run and epoch"] = "run and epoch"
    fenced_release: bool = True
    takes_over: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """The session's newest run, as the database has it."""

    run: int = 0
    epoch: int = 0
    status: Literal["ended", "running", "waiting"] = "ended"
    expired: bool = False  # has its lease run out?


@dataclass(frozen=True, slots=True)
class Process:
    """What one process believes. It may be paused anywhere: then the others take steps, and it does not."""

    activity: Activity = "idle"
    run: int = 0
    epoch: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class State:
    row: Row
    processes: tuple[Process, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """`wrong` says what must never happen, if this step was it."""

    words: str
    after: State
    wrong: str = ""


def beginning(processes: int) -> State:
    return State(Row(), (Process(),) * processes)


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """Everything that can happen next."""
    row = state.row
    if row.status != "ended" and not row.expired:
        yield Step("the lease runs out", replace(state, row=replace(row, expired=True)))
    for place, process in enumerate(state.processes):
        for words, after_row, after, wrong in _of_process(row, process, rules):
            processes = (*state.processes[:place], after, *state.processes[place + 1 :])
            yield Step(f"{'ABCD'[place]} {words}", State(after_row, processes), wrong)


Change = tuple[str, Row, Process, str]


def _of_process(row: Row, process: Process, rules: Rules) -> Iterator[Change]:
    match process.activity:
        case "idle":
            yield from _claims(row, rules)
            yield from _answers(row)
            return
        case "asking":
            if row.status == "running" and row.run == process.run:  # it sees an answer, whoever it was for
                yield "reads the answer", row, replace(process, activity="working"), ""
        case "working" if process.writes == 0:
            yield _releases(row, process, rules)
        case "working" if rules.fence == "checked before":
            after = replace(process, activity="checked") if _holds(row, process) else Process()
            yield "looks whether it still holds the session", row, after, ""
        case "working" | "checked":
            yield _writes(row, process, rules)
            if process.activity == "working" and process.writes == 1:
                yield from _asks(row, process, rules)
    yield "dies", row, Process(), ""


def _claims(row: Row, rules: Rules) -> Iterator[Change]:
    free = row.status == "ended"
    dead = row.status == "running" and row.expired and rules.takes_over
    if (free or dead) and row.run < MAX_RUNS:
        run = row.run + 1
        yield "begins a run", Row(run, 0, "running"), Process("working", run, 0, WRITES), ""


def _answers(row: Row) -> Iterator[Change]:
    """An answer is anybody's to give. If the one who asked seems dead, whoever got the answer goes on."""
    if row.status != "waiting":
        return
    if not row.expired:
        yield "answers", replace(row, status="running"), Process(), ""
    elif row.epoch < MAX_EPOCH:
        epoch = row.epoch + 1
        adopted = replace(row, status="running", epoch=epoch, expired=False)
        yield "answers and goes on with the run", adopted, Process("working", row.run, epoch, 1), ""


def _asks(row: Row, process: Process, rules: Rules) -> Iterator[Change]:
    if _holds(row, process):
        yield "asks", replace(row, status="waiting", expired=False), replace(process, activity="asking"), ""


def _writes(row: Row, process: Process, rules: Rules) -> Change:
    if not _let_through(row, process, rules):
        return "is refused a write and stops", row, Process(), ""
    wrong = "" if _holds(row, process) else "a late writer wrote"
    after = replace(process, activity="working", writes=process.writes - 1)
    return "writes", replace(row, expired=False) if not wrong else row, after, wrong


def _releases(row: Row, process: Process, rules: Rules) -> Change:
    if rules.fenced_release and not _let_through(row, process, replace(rules, fence="run and epoch")):
        return "is refused the end and stops", row, Process(), ""
    wrong = "" if _holds(row, process) else "a late release freed somebody else's session"
    return "ends its run", replace(row, status="ended"), Process(), wrong


def _let_through(row: Row, process: Process, rules: Rules) -> bool:
    match rules.fence:
        case "none" | "checked before":
            return True
        case "run only":
            return row.status != "ended" and row.run == process.run
        case "run and epoch":
            return _holds(row, process)


def _holds(row: Row, process: Process) -> bool:
    """The truth."""
    return row.status != "ended" and (row.run, row.epoch) == (process.run, process.epoch)
