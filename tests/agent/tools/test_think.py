"""Thoughts come back, and do not grow without end."""

from __future__ import annotations

import pytest

from app.agent.tools.think import MAX_CHARACTERS, ThinkToolset
from tests.agent.tools.workbench import Workbench


def test_each_answer_shows_the_thoughts_so_far(bench: Workbench) -> None:
    think = ThinkToolset()
    assert bench.call(think, "think", thought="a").output == "Thoughts:\na"
    assert bench.call(think, "think", thought="b").output == "Thoughts:\na\nb"


def test_thoughts_are_found_again_in_the_next_run(bench: Workbench) -> None:
    think = ThinkToolset()
    assert think.state() is None
    bench.call(think, "think", thought="a")
    assert bench.call(ThinkToolset(state=think.state()), "think", thought="b").output == "Thoughts:\na\nb"


def test_only_the_latest_fifty_thoughts_stay(bench: Workbench) -> None:
    think = ThinkToolset(state=[str(number) for number in range(60)])
    assert bench.call(think, "think", thought="last").output.split("\n")[1:3] == ["11", "12"]


@pytest.mark.parametrize(("thought", "kept"), [("x" * 19_999, 1), ("x" * 10_000, 2), ("x" * 50_000, 1)])
def test_thoughts_stay_within_twenty_thousand_characters(bench: Workbench, thought: str, kept: int) -> None:
    think = ThinkToolset()
    for _ in range(3):
        bench.call(think, "think", thought=thought)
    assert think.state() == [thought[:MAX_CHARACTERS]] * kept


@pytest.mark.parametrize("state", [None, 1, "text", {"a": 1}, [1, None]])
def test_a_state_that_is_none_of_ours_is_an_empty_one(bench: Workbench, state: object) -> None:
    assert bench.call(ThinkToolset(state=state), "think", thought="a").output == "Thoughts:\na"
