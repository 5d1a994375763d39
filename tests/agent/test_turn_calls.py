"""The calls of one turn: which of them are made side by side, and that nobody can tell by the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.agent.loop import AgentLoop
from app.agent.loop_steps import Ask, CallEnded, CallStarting
from app.agent.tool_threads import CallCancellation, ToolThreads
from app.agent.toolset import (
    CANCELLED,
    Elicitation,
    Outcome,
    OutcomeUnknown,
    ToolCancelled,
    ToolContext,
    ToolResult,
)
from app.agent.turn_calls import SIDE_BY_SIDE
from app.conversation.call_events import ToolCallResponse, ToolCallStarted
from app.conversation.run import Answer
from app.errors import RunCancelled
from tests.agent.cancellation import FakeCancellation
from tests.agent.scripted_model import ScriptedModel, called, said
from tests.agent.stage import Stage, tool
from tests.conversation.rows import user

SECONDS = 20.0  # a test that fails waits no longer
ASKING = """
agents:
  root: {model: anthropic/claude-sonnet-5-5}
permissions: {ask: [asked]}
"""


def stage_of(
    *names: str, handlers: Mapping[str, Callable[[str, ToolContext], Outcome]], **more: Any
) -> Stage:
    """One turn that calls these tools in this order, with the ids c0, c1, …; `write` is no reader."""

    def made(name: str, handler: Callable[[str, ToolContext], Outcome]) -> Any:
        def call(arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
            return handler(str(arguments["id"]), context)

        return tool(name, call, read_only=name != "write")

    calls = [(f"c{number}", name, {"id": f"c{number}"}) for number, name in enumerate(names)]
    tools = [made(name, handler) for name, handler in handlers.items()]
    return Stage(ScriptedModel(called(*calls), said("done")), *tools, **more)


def order(stage: Stage, kind: type[CallStarting] | type[CallEnded]) -> list[str]:
    return [step.call_id for step in stage.steps if isinstance(step, kind)]


def test_calls_that_only_read_are_made_side_by_side_and_no_more_of_them_than_are_allowed() -> None:
    guard, full = threading.Lock(), threading.Event()
    inside, most = set[str](), 0

    def look(call_id: str, _context: ToolContext) -> Outcome:
        nonlocal most
        with guard:
            inside.add(call_id)
            most = max(most, len(inside))
            if len(inside) == SIDE_BY_SIDE:
                full.set()
        met = full.wait(SECONDS)
        with guard:
            inside.remove(call_id)
        return ToolResult(f"{call_id} {met}")

    count = 3 * SIDE_BY_SIDE
    stage = stage_of(*["look"] * count, handlers={"look": look})
    stage.perform(user("Hi"))
    assert stage.endings() == [("completed", f"c{number} True") for number in range(count)]
    assert most == SIDE_BY_SIDE


def test_results_come_in_the_order_of_the_calls_however_long_each_takes() -> None:
    done = {f"c{number}": threading.Event() for number in range(4)}

    def look(call_id: str, _context: ToolContext) -> Outcome:
        later = done.get(f"c{int(call_id[1:]) + 1}")
        met = later is None or later.wait(SECONDS)
        done[call_id].set()
        return ToolResult(f"{call_id} {met}")

    stage = stage_of(*["look"] * 4, handlers={"look": look})
    stage.perform(user("Hi"))
    assert stage.endings() == [("completed", f"c{number} True") for number in range(4)]
    told = [e for e in stage.events() if isinstance(e, ToolCallStarted | ToolCallResponse)]
    assert [(type(e), e.tool_call["id"]) for e in told] == [
        (kind, f"c{number}") for number in range(4) for kind in (ToolCallStarted, ToolCallResponse)
    ]


def test_the_ledger_knows_of_a_call_before_its_handler_begins() -> None:
    def look(call_id: str, _context: ToolContext) -> Outcome:
        return ToolResult(str(call_id in order(stage, CallStarting)))

    stage = stage_of(*["look"] * 3, handlers={"look": look})
    stage.perform(user("Hi"))
    assert {output for _, output in stage.endings()} == {"True"}


def test_a_call_that_changes_something_waits_for_those_before_it_and_is_waited_for() -> None:
    done: list[str] = []
    pair = threading.Barrier(2, timeout=SECONDS)

    def look(call_id: str, _context: ToolContext) -> Outcome:
        pair.wait()
        done.append(call_id)
        return ToolResult("")

    def write(call_id: str, _context: ToolContext) -> Outcome:
        done.append(call_id)
        return ToolResult("")

    stage = stage_of("look", "look", "write", "look", "look", handlers={"look": look, "write": write})
    stage.answers = [Answer("approve")]
    stage.perform(user("Hi"))
    assert [set(done[:2]), done[2], set(done[3:])] == [{"c0", "c1"}, "c2", {"c3", "c4"}]
    assert [state for state, _ in stage.endings()] == ["completed"] * 5
    assert order(stage, CallStarting).index("c2") == 2


def test_a_call_that_a_person_is_asked_about_waits_for_those_before_it() -> None:
    stage = stage_of(
        "look",
        "asked",
        "look",
        handlers=dict.fromkeys(("look", "asked"), lambda *_: ToolResult("")),
        team=ASKING,
    )
    stage.answers = [Answer("reject")]
    stage.perform(user("Hi"))
    question = next(number for number, step in enumerate(stage.steps) if isinstance(step, Ask))
    assert [step.call_id for step in stage.steps[:question] if isinstance(step, CallEnded)] == ["c0"]
    assert [state for state, _ in stage.endings()] == ["completed", "rejected", "completed"]


def test_tools_whose_calls_build_on_one_another_are_called_one_after_the_other() -> None:
    inside: list[str] = []

    def note(call_id: str, _context: ToolContext) -> Outcome:
        inside.append(call_id)
        alone = inside == [call_id]
        inside.remove(call_id)
        return ToolResult(f"{alone} {threading.current_thread() is threading.main_thread()}")

    stage = stage_of(*["note"] * 3, handlers={"note": note})
    stage.toolset._tools = tuple(replace(one, in_order=True) for one in stage.toolset._tools)
    stage.perform(user("Hi"))
    assert {output for _, output in stage.endings()} == {"True True"}


@pytest.mark.parametrize("failure", [ToolCancelled(CANCELLED), OutcomeUnknown("it was cut")])
def test_a_cancel_ends_all_that_are_under_way_and_each_has_its_result(failure: Exception) -> None:
    all_in = threading.Barrier(3, timeout=SECONDS)

    def look(call_id: str, context: ToolContext) -> Outcome:
        told = threading.Event()
        with context.cancellation.calling(told.set):
            if all_in.wait() == 0:
                stage.cancellation.cancel()
            assert told.wait(SECONDS)
        raise failure

    names = ["look"] * 3
    stage = stage_of(*names, "write", handlers={"look": look, "write": lambda *_: ToolResult("")})
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))
    state = "cancelled" if isinstance(failure, ToolCancelled) else "unknown"
    assert [state for state, _ in stage.endings()] == [state] * 3
    assert order(stage, CallEnded) == ["c0", "c1", "c2"]
    assert order(stage, CallStarting) == ["c0", "c1", "c2"]


def test_calls_under_way_end_when_nobody_waits_for_them_any_more() -> None:
    """As when the run's process goes away while somebody is asked."""
    both, seen, abandoned = threading.Barrier(2, timeout=SECONDS), list[bool](), list[str]()

    def ask(call_id: str, _context: ToolContext) -> Outcome:
        both.wait()
        return Elicitation(
            "Which?", then=lambda *_: ToolResult(""), abandon=lambda: abandoned.append(call_id)
        )

    def look(_call_id: str, context: ToolContext) -> Outcome:
        both.wait()
        seen.append(context.cancellation.wait(SECONDS))
        raise ToolCancelled(CANCELLED)

    stage = stage_of("ask", "look", handlers={"ask": ask, "look": look})
    loop = AgentLoop(stage.context(), stage.session, stage.team.agent(), [user("Hi")])
    running, reply = loop.run(), None
    while not isinstance(step := running.send(reply), Ask):
        reply = stage._take(step)
    running.close()
    assert seen == [True]
    assert abandoned[0] == "c0"


def test_arguments_that_do_not_fit_cost_their_own_call_only() -> None:
    stage = stage_of(*["look"] * 3, handlers={"look": lambda call_id, _: ToolResult(call_id)})
    schema = {"type": "object", "properties": {"id": {"enum": ["c0", "c2"]}}}
    stage.toolset._tools = tuple(replace(one, parameters=schema) for one in stage.toolset._tools)
    stage.perform(user("Hi"))
    assert stage.endings() == [
        ("completed", "c0"),
        ("failed", "Error calling tool: id must be one of c0, c2, not 'c1'"),
        ("completed", "c2"),
    ]


def test_without_a_place_in_the_crew_the_work_is_done_at_once() -> None:
    here = threading.current_thread()
    seen: list[threading.Thread] = []

    def work() -> Outcome:
        seen.append(threading.current_thread())
        return ToolResult("done")

    assert ToolThreads(0).start(work).outcome() == ToolResult("done")
    tool_threads = ToolThreads(1)
    assert [tool_threads.start(work).outcome() for _ in range(3)] == [ToolResult("done")] * 3
    assert seen[0] is here


@pytest.mark.parametrize("how", ["run", "leave", "both", "before"])
def test_a_leave_is_cancelled_once_by_whoever_comes_first(how: str) -> None:
    run, calls = FakeCancellation(), list[int]()
    leave = CallCancellation(run)
    if how == "before":
        leave.take()
    with leave.calling(lambda: calls.append(1)):
        if how in ("run", "both"):
            run.cancel()
        if how in ("leave", "both"):
            leave.take()
    assert (calls, leave.is_set(), leave.wait(SECONDS)) == ([1], True, True)
