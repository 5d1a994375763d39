"""A model that makes one call again and again is told so, and then stopped."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from app.agent.toolset import Outcome, ToolContext, ToolResult
from app.errors import CallsRepeated
from tests.agent.scripted_model import Line, ScriptedModel, called, said
from tests.agent.stage import TEAM, Stage, tool
from tests.conversation.rows import user

TOLD = "times in a row"
LIMITED = TEAM.replace("Be brief.}", "Be brief., max_consecutive_tool_calls: {}}}")


def again(times: int, *calls: tuple[str, dict[str, Any]]) -> list[Line]:
    """As many turns with the same calls."""
    return [
        called(*((f"c{turn}_{place}", name, arguments) for place, (name, arguments) in enumerate(calls)))
        for turn in range(times)
    ]


def told(stage: Stage) -> list[bool]:
    return [TOLD in words for _, words in stage.endings()]


def stopped(stage: Stage) -> str:
    with pytest.raises(CallsRepeated) as caught:
        stage.perform(user("Hi"))
    assert stage.open_calls == ()
    return caught.value.message


def test_it_is_told_first_and_stopped_then() -> None:
    stage = Stage(ScriptedModel(*again(12, ("echo", {"text": "one"}))), tool("echo"))
    assert "called echo 10 times in a row" in stopped(stage)
    assert told(stage) == [False, False, *[True] * 8]
    assert stage.endings()[2][1].startswith("one\n\n[You have made this call 3 times")


@pytest.mark.parametrize(("most", "turns"), [(1, 3), (3, 3), (4, 4), (8, 8), (0, 10)])
def test_an_agents_file_says_after_how_many(most: int, turns: int) -> None:
    team = LIMITED.replace("{}", str(most), 1).replace("}}", "}")
    stage = Stage(ScriptedModel(*again(12, ("echo", {}))), tool("echo"), team=team)
    stopped(stage)
    assert len(stage.endings()) == turns
    assert told(stage)[0] is False
    assert told(stage)[-2] is True, "before it is stopped"


def test_calls_that_fail_or_do_not_exist_count_as_well() -> None:
    stage = Stage(ScriptedModel(*again(12, ("nothing", {}))))
    assert "called nothing 10 times" in stopped(stage)


def test_several_calls_of_each_turn_are_one_repetition() -> None:
    lines = again(12, ("echo", {"text": "a"}), ("echo", {"text": "b"}))
    assert "called echo 10 times" in stopped(Stage(ScriptedModel(*lines), tool("echo")))


def test_the_order_of_the_arguments_makes_no_other_call() -> None:
    lines = [
        called((f"c{turn}", "echo", {"text": "x", "n": 1} if turn % 2 else {"n": 1, "text": "x"}))
        for turn in range(12)
    ]
    stopped(Stage(ScriptedModel(*lines), tool("echo")))


def done(stage: Stage) -> None:
    stage.perform(user("Hi"))
    assert stage.model.lines == []
    assert told(stage).count(True) == 0


def test_other_arguments_or_another_result_are_progress() -> None:
    numbers = count()

    def counting(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        return ToolResult(str(next(numbers)))

    done(Stage(ScriptedModel(*again(12, ("act", {})), said("done")), tool("act", counting)))
    lines = [called((f"c{turn}", "echo", {"n": turn})) for turn in range(12)]
    done(Stage(ScriptedModel(*lines, said("done")), tool("echo")))


def test_a_call_beside_another_that_goes_on_is_no_loop() -> None:
    lines = [called((f"a{n}", "echo", {}), (f"b{n}", "echo", {"text": str(n)})) for n in range(12)]
    stage = Stage(ScriptedModel(*lines, said("done")), tool("echo"))
    stage.perform(user("Hi"))
    assert stage.model.lines == []


@pytest.mark.parametrize("name", ["wait_for_build", "ci_poll", "sleep"])
def test_tools_that_wait_may_be_asked_as_often_as_it_takes(name: str) -> None:
    done(Stage(ScriptedModel(*again(12, (name, {})), said("done")), tool(name)))


def test_a_new_word_of_the_user_begins_anew() -> None:
    stage = Stage(ScriptedModel(*again(8, ("echo", {})), said("done")), tool("echo"))
    stage.arrivals = [(), (), (), (), (user("Again, please."),)]
    stage.perform(user("Hi"))
    assert told(stage) == [False, False, True, True, False, False, True, True]
