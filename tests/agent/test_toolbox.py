"""All tools of an agent: started once, listed without those that fail, stopped whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.agent.toolbox import Toolbox
from tests.agent.stage import FakeToolset, tool


def test_toolsets_are_started_once_however_often_they_are_listed() -> None:
    one = FakeToolset(tool("a"))
    box = Toolbox({"one": one})
    assert [[listed.name for listed in box.list_tools()] for _ in range(2)] == [["a"], ["a"]]
    assert one.started == 1


@pytest.mark.parametrize("breaks", ["start", "tools"])
def test_a_toolset_that_fails_is_left_out_and_reported_once_for_each_listing(breaks: str) -> None:
    box = Toolbox({"bad": FakeToolset(tool("b"), breaks=breaks), "good": FakeToolset(tool("a"))})
    assert [listed.name for listed in box.list_tools()] == ["a"]
    [problem] = box.take_problems()
    assert problem.startswith("bad ")
    assert "does not work" in problem
    assert box.take_problems() == []
    box.list_tools()
    assert len(box.take_problems()) == 1


def test_a_toolset_that_failed_is_tried_again() -> None:
    bad = FakeToolset(tool("b"), breaks="start")
    box = Toolbox({"bad": bad})
    assert box.list_tools() == []
    bad.breaks = ""
    assert [listed.name for listed in box.list_tools()] == ["b"]


def test_of_two_tools_of_one_name_the_first_counts() -> None:
    first, second = tool("a"), tool("a")
    box = Toolbox({"one": FakeToolset(first), "two": FakeToolset(second)}, own_tools=[tool("a"), tool("b")])
    assert [listed.name for listed in box.list_tools()] == ["a", "b"]
    assert box.find("a") is first
    assert box.find("c") is None


def test_states_are_told_when_they_have_changed() -> None:
    one = FakeToolset(state={"n": 1})
    box = Toolbox({"one": one, "two": FakeToolset()})
    box.list_tools()
    assert box.changed_states() == {}
    one.value = {"n": 2}
    assert box.changed_states() == {"one": {"n": 2}}
    assert box.changed_states() == {}


def test_all_are_stopped_even_if_one_does_not_want_to(caplog: pytest.LogCaptureFixture) -> None:
    bad, good, waiting = FakeToolset(breaks="stop"), FakeToolset(), FakeToolset(breaks="start")
    box = Toolbox({"bad": bad, "good": good, "waiting": waiting})
    box.list_tools()
    box.stop()
    box.stop()
    assert (bad.stopped, good.stopped, waiting.stopped) == (1, 1, 1)
    assert "toolset bad did not stop" in caplog.text


def test_a_toolset_that_could_not_be_built_is_a_problem_and_counts_as_one_that_the_agent_has() -> None:
    box = Toolbox({}, problems=["toolset memory failed: no"])
    assert box.has_toolsets
    assert box.take_problems() == ["toolset memory failed: no"]
    assert not Toolbox({}).has_toolsets


def test_calls_may_say_what_they_are_for_where_the_agent_wants_it() -> None:
    plain, describing = tool("a"), replace(tool("b"), takes_description=True)
    box = Toolbox({"one": FakeToolset(plain, describing)}, described=True)
    first, second = box.list_tools()
    assert first is plain
    assert second.parameters is not None
    assert list(second.parameters["properties"]) == ["description"]
    assert "required" not in second.parameters
    assert Toolbox({"one": FakeToolset(describing)}).list_tools() == [describing]
