"""Tools that are there when the model asks for them."""

from __future__ import annotations

import json

import pytest

from app.agent.toolbox import Toolbox
from app.agent.tools.deferred import DeferredToolset, Shelf, Shelved
from tests.agent.stage import FakeToolset, tool
from tests.agent.tools.workbench import Workbench


def box(shelf: Shelf, *, deferred: bool | list[str] = True) -> tuple[Toolbox, DeferredToolset]:
    assert deferred is not False
    last = DeferredToolset(shelf)
    inner = FakeToolset(tool("paint"), tool("hammer"))
    toolbox = Toolbox(
        {"a": Shelved(inner, shelf, deferred), "b": FakeToolset(tool("read")), "deferred": last}
    )
    toolbox.list_tools()
    return toolbox, last


def names(toolbox: Toolbox) -> list[str]:
    return [listed.name for listed in toolbox.list_tools()]


def test_deferred_tools_are_not_listed_but_can_be_found(bench: Workbench) -> None:
    toolbox, last = box(Shelf())
    assert names(toolbox) == ["read", "search_tool", "add_tool"]
    head, _, found = bench.call(last, "search_tool", query="DOES PAINT").output.partition("\n")
    assert head == "Found 1 deferred tool(s):"
    assert json.loads(found) == [{"name": "paint", "description": "Does paint."}]
    nothing = bench.call(last, "search_tool", query="saw")
    assert (nothing.output, nothing.is_error) == ("No deferred tools found matching 'saw'", True)


def test_only_named_tools_are_deferred() -> None:
    assert names(box(Shelf(), deferred=["hammer"])[0]) == ["paint", "read", "search_tool", "add_tool"]


def test_an_added_tool_is_listed_from_then_on_and_in_later_runs_too(bench: Workbench) -> None:
    toolbox, last = box(Shelf())
    assert bench.call(last, "add_tool", name="paint").output == (
        "Tool 'paint' has been activated and is now available for use.\n\nDescription: Does paint."
    )
    assert names(toolbox) == ["paint", "read", "search_tool", "add_tool"]
    assert bench.call(last, "add_tool", name="paint").output == "Tool 'paint' is already active"
    states = toolbox.changed_states()
    assert states == {"deferred": ["paint"]}
    assert "paint" in names(box(Shelf(state=states["deferred"]))[0])


def test_a_tool_that_is_not_deferred_can_not_be_added(bench: Workbench) -> None:
    _, last = box(Shelf())
    result = bench.call(last, "add_tool", name="read")
    assert (result.output, result.is_error) == ("Tool 'read' not found.", True)


@pytest.mark.parametrize("state", ["paint", {"a": 1}, [1, None]])
def test_a_state_that_is_none_means_nothing(state: object) -> None:
    assert Shelf(state=state).taken == set()
