"""All tools of an agent: started once, listed without those that fail, stopped whatever happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.agent.toolbox import Toolbox
from app.agent.tools.schemas.normalizing import NormalizedSchema, fitted
from app.agent.toolset import Tool, ToolContext, ToolResult
from tests.agent.cancellation import FakeCancellation
from tests.agent.stage import FakeToolset, tool


def test_toolsets_are_started_once_however_often_they_are_listed() -> None:
    one = FakeToolset(tool("a"))
    box = Toolbox({"one": one})
    assert [[listed.name for listed in box.list_tools()] for _ in range(2)] == [["a"], ["a"]]
    assert one.started == 1


@pytest.mark.parametrize("breaks", ["start", "tools"])
def test_a_toolset_that_fails_is_left_out_and_reported_once_until_it_has_worked(breaks: str) -> None:
    bad = FakeToolset(tool("b"), breaks=breaks)
    box = Toolbox({"bad": bad, "good": FakeToolset(tool("a"))})
    assert [listed.name for listed in box.list_tools()] == ["a"]
    [problem] = box.take_problems()
    assert problem.startswith("bad ")
    assert "does not work" in problem
    for _ in range(2):
        bad.words = "still broken"
        assert [listed.name for listed in box.list_tools()] == ["a"]
        assert box.take_problems() == []
    bad.breaks = ""
    assert {listed.name for listed in box.list_tools()} == {"a", "b"}
    bad.breaks = "tools"
    box.list_tools()
    assert box.take_problems() == ["bad list failed: tools still broken"]


def test_a_toolset_that_failed_twice_before_anybody_asked_is_one_problem() -> None:
    box = Toolbox({"bad": FakeToolset(breaks="start")})
    box.list_tools()
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
    assert Toolbox({}, own_tools=[tool("transfer_task")]).has_toolsets


def test_calls_may_say_what_they_are_for_where_the_agent_wants_it() -> None:
    plain, describing = tool("a"), replace(tool("b"), takes_description=True)
    box = Toolbox({"one": FakeToolset(plain, describing)}, described=True)
    first, second = box.list_tools()
    assert first is plain
    assert second.parameters is not None
    assert list(second.parameters["properties"]) == ["description"]
    assert "required" not in second.parameters
    assert Toolbox({"one": FakeToolset(describing)}).list_tools() == [describing]


def taking(name: str, properties: object, **more: object) -> Tool:
    return replace(tool(name), parameters={"type": "object", "properties": properties, **more})


def test_a_tool_that_the_api_would_refuse_is_left_out_and_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = [
        taking("wrong", {"a": {"type": "wibble"}}),
        replace(tool("text"), parameters={"type": "string"}),
        replace(tool("list"), parameters=[]),  # type: ignore[arg-type]
        tool(""),
    ]
    box = Toolbox({"root/mcp#0": FakeToolset(*odd, tool("good"))}, file="coder.yaml")
    for _ in range(2):
        assert [listed.name for listed in box.list_tools()] == ["good"]
    assert box.take_problems() == []
    assert box.take_notices() == [
        "The tool 'wrong' of root/mcp#0 is left out: it has a type that is none: 'wibble'.",
        "The tool 'text' of root/mcp#0 is left out: it takes string, not an object.",
        "The tool 'list' of root/mcp#0 is left out: its schema is [], not an object.",
        "The tool '' of root/mcp#0 is left out: it has no name.",
    ]
    assert box.take_notices() == []
    assert len(caplog.records) == 4
    assert "coder.yaml" in caplog.text


def test_two_tools_of_one_name_are_named_with_both_toolsets() -> None:
    one, two = FakeToolset(tool("a"), tool("b"), tool("b")), FakeToolset(tool("a"), tool("c"), tool("a b"))
    box = Toolbox({"root/mcp#0": one, "root/mcp#1": two}, own_tools=[tool("c"), tool("a_b")])
    assert [listed.name for listed in box.list_tools()] == ["a", "b", "c", "a_b"]
    box.list_tools()
    assert box.take_notices() == [
        "Of tools with the same name the first counts: b of root/mcp#0, twice.",
        "Of tools with the same name the first counts: a of root/mcp#0 and root/mcp#1.",
        "Of tools with the same name the first counts: c, a_b of root/mcp#1 and the team.",
    ]


def test_a_name_that_is_too_long_is_shortened_and_said() -> None:
    long = ["x" * 128, "x" * 129, "x" * 128 + "y"]
    box = Toolbox({"one": FakeToolset(*map(tool, long))})
    names = [listed.name for listed in box.list_tools()]
    assert names[0] == long[0]
    assert len(set(names)) == 3
    assert all(len(name) <= 128 for name in names)
    assert [("is called" in notice) for notice in box.take_notices()] == [True, True]


def test_properties_that_the_model_calls_otherwise_come_to_the_tool_by_their_own_names(
    tmp_path: Path,
) -> None:
    given: list[object] = []

    def handler(arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        given.append(arguments)
        return ToolResult("")

    odd = {"filter[x]": {"type": "string"}, "$top": {"type": "object", "properties": {"@id": {}}}, "ok": {}}
    box = Toolbox({"one": FakeToolset(replace(taking("find", odd), handler=handler))})
    (found,) = box.list_tools()
    assert list(found.for_model()["input_schema"]["properties"]) == ["filter_x", "top", "ok"]
    arguments = {"filter_x": "a", "top": {"id": 1}, "ok": {"filter_x": "stays"}}
    found.call(arguments, ToolContext(tmp_path, FakeCancellation()))
    assert given == [{"filter[x]": "a", "$top": {"@id": 1}, "ok": {"filter_x": "stays"}}]


def test_a_schema_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []

    def counting(schema: object) -> NormalizedSchema:
        looked.append(schema)
        return fitted(schema)

    monkeypatch.setattr("app.agent.tool_normalizing.fitted", counting)
    odd = {"looked at": {"type": "any"}}
    for _ in range(3):
        box = Toolbox(
            {"one": FakeToolset(taking("a", {"looked-at": {}}), taking("b", odd), taking("c", odd))}
        )
        assert [len(box.list_tools()), len(box.list_tools())] == [3, 3]
    assert len(looked) == 2


def test_words_that_can_not_be_sent_are_mended() -> None:
    odd = replace(tool("a"), title="t\0", description="\ud800")
    (found,) = Toolbox({"one": FakeToolset(odd)}).list_tools()
    assert (found.title, found.description) == ("t\ufffd", "?")
