"""Every step that any process can take, from any state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.claim_model.claim import (
    MAX_RUNS,
    MAX_TAKES,
    At,
    Process,
    Row,
    Rules,
    State,
    Step,
    holds,
    is_dropped,
)

GONE = Process()

Change = tuple[str, Row, Process, str]


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """Everything that can happen next."""
    row = state.row
    if row.status != "ended" and not row.expired:
        yield Step("the lease runs out", replace(state, row=replace(row, expired=True)))
    for place, process in enumerate(state.processes):
        name = "ABCD"[place]
        others = (*state.processes[:place], *state.processes[place + 1 :])
        locked = rules.fence == "run and epoch" and any(other.inside for other in others)
        for words, after_row, after, wrong in _of_process(row, process, rules, locked=locked):
            processes = (*state.processes[:place], after, *state.processes[place + 1 :])
            reached = State(after_row, processes)
            if not wrong and is_dropped(reached):
                wrong = "a run goes on without a process"
            yield Step(f"{name} {words}", reached, wrong)


def _of_process(row: Row, process: Process, rules: Rules, *, locked: bool) -> Iterator[Change]:
    """A step that touches the row waits while it is `locked` by the open transaction of another process."""
    free = not locked
    if process.inside and rules.ends_open_transactions:
        after = GONE if process.at == "stopped" else replace(process, inside=False)
        yield "is cut off from its transaction by the server", row, after, ""
    match process.at:
        case "stopped":
            return
        case "idle":
            if free:
                yield from _claims(row, rules)
                yield from _answers(row, rules)
            return
        case "leaving":
            yield from _leaves(row, process, free, rules)
            return
        case "taken":
            yield "starts its thread", row, replace(process, at=_goes_on_at(row)), ""
            yield "has no thread and gives up", row, GONE, ""
        case "asking leave" | "asking a form":
            if row.status == "running" and row.run == process.run:  # it sees an answer, whichever run's it is
                at: At = "allowed" if process.at == "asking leave" else "answered"
                yield "reads the answer", row, replace(process, at=at), ""
            if free:
                yield from _lets_go(row, process, rules)
        case "started":
            yield "acts by its tool", *_acts(row, process)
    if free:
        yield from _writes(row, process, rules)
    without = replace(row, died=row.died or holds(row, process))
    yield "dies", without, GONE, ""
    if process.inside:
        yield "is stopped for good", without, replace(process, at="stopped"), ""


# ---- taking


def _claims(row: Row, rules: Rules) -> Iterator[Change]:
    free = row.status == "ended"
    dead = row.status == "running" and row.expired and rules.takes_over
    if (free or dead) and row.run < MAX_RUNS:
        run = row.run + 1
        begun, wrong = _shows(Row(run, 0, "running", reserved=row.reserved), reserves=True)
        if dead and row.call == "pending" and row.acted:
            wrong = "the model is told that a call did not run, and it did"
        yield "begins a run", begun, Process("begun", run), wrong


def _answers(row: Row, rules: Rules) -> Iterator[Change]:
    """Any process may be given the answer. If the one that asked seems dead, it goes on with the run."""
    if row.status != "waiting":
        return
    call = row.call if rules.answer_keeps_begun or row.call == "none" else "pending"
    answered = replace(row, status="running", call=call)
    if row.expired and row.takes < MAX_TAKES:
        taken = replace(
            answered, epoch=row.epoch + 1, expired=False, parked=False, takes=row.takes + 1, died=False
        )
        taken, wrong = _shows(taken, reserves=rules.adopter_reserves)
        at = _goes_on_at(taken) if rules.thread_before_taking else "taken"
        writes = row.writes if rules.adopter_goes_on_counting else 0
        yield "answers and takes the run", taken, Process(at, row.run, taken.epoch, writes), wrong
    if not row.expired or (row.parked and not rules.answer_needs_taker):
        yield "answers", answered, GONE, ""


def _goes_on_at(row: Row) -> At:
    """Where an adopter goes on: by the ledger alone."""
    return "cut off" if row.call == "began" else "allowed"


def _shows(row: Row, *, reserves: bool) -> tuple[Row, str]:
    """A process that has a run begins behind all reserved numbers, and shows events before it stores them."""
    wrong = "" if row.reserved else "two events have one number"
    return replace(row, reserved=reserves), wrong


# ---- letting go


def _lets_go(row: Row, process: Process, rules: Rules) -> Iterator[Change]:
    """The process goes away, and what waits for a person is left to the one that gets the answer."""
    if rules.parks == "never" or not _let_through(row, process, rules) or row.takes:
        return
    if row.status != "waiting" and rules.parks == "what still waits":
        return  # it is told of the answer, and reads it
    epoch = row.epoch + 1 if rules.parking_raises_epoch else row.epoch
    parked = replace(row, epoch=epoch, expired=True, parked=True, reserved=True)
    yield "lets go", parked, replace(process, at="leaving"), ""


def _leaves(row: Row, process: Process, free: bool, rules: Rules) -> Iterator[Change]:
    if free and _let_through(row, process, rules):
        renewed = replace(row, expired=False, parked=False)
        yield "renews the lease once more", renewed, GONE, ""
    yield "is gone", row, GONE, ""


# ---- writing


def _writes(row: Row, process: Process, rules: Rules) -> Iterator[Change]:
    wanted = list(_wants_to_write(row, process, rules))
    if not wanted:
        return
    if process.at == "done" and not rules.fenced_release:
        yield from (_commits(row, process, *write) for write in wanted)
        return
    if not process.inside:
        through = _let_through(row, process, rules)
        if rules.fence == "checked before":
            yield "looks", row, replace(process, inside=True) if through else GONE, ""
            return
        if not through:
            yield "is refused a write and stops", row, GONE, ""
            return
        if rules.fence == "run and epoch":
            yield "opens a transaction", row, replace(process, inside=True), ""
    for words, after_row, at in wanted:
        yield _commits(row, process, words, after_row, at)


def _commits(row: Row, process: Process, words: str, after_row: Row, at: At) -> Change:
    number = process.writes + 1
    after = GONE if at == "idle" else replace(process, at=at, writes=number, inside=False)
    if not holds(row, process):
        late = "freed another run's session" if after_row.status == "ended" else "wrote"
        return words, after_row, after, f"a late process {late}"
    wrong = "two writes have one number" if number <= row.writes else ""
    if after_row.status == "ended":
        return words, after_row, after, wrong
    return words, replace(after_row, writes=number, expired=False), after, wrong


def _wants_to_write(row: Row, process: Process, rules: Rules) -> Iterator[tuple[str, Row, At]]:
    began = replace(row, call="began") if rules.begins_before_handler else row
    match process.at:
        case "begun":
            yield "stores a call", replace(row, call="pending"), "called"
        case "called":
            yield "asks for leave", replace(row, status="waiting"), "asking leave"
            yield "starts its tool", began, "started"
        case "allowed":
            yield "starts its tool", began, "started"
        case "acted":
            yield "asks a form", replace(row, status="waiting"), "asking a form"
            yield "stores the result", replace(row, call="none", acted=False), "done"
        case "answered" | "cut off":
            yield "stores the result", replace(row, call="none", acted=False), "done"
        case "done":
            yield "ends its run", Row(row.run, row.epoch), "idle"


def _acts(row: Row, process: Process) -> tuple[Row, Process, str]:
    """No fence holds a tool. One that acts after its run was closed is known to be unknown."""
    wrong = "a call ran twice" if row.acted and holds(row, process) else ""
    acted = replace(row, acted=True) if row.run == process.run and row.status != "ended" else row
    return acted, replace(process, at="acted"), wrong


def _let_through(row: Row, process: Process, rules: Rules) -> bool:
    match rules.fence:
        case "none":
            return True
        case "run only":
            return row.status != "ended" and row.run == process.run
        case "checked before" | "run and epoch":
            return holds(row, process)
