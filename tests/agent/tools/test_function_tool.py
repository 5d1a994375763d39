"""A function's signature becomes the schema that the model sees, and a call's arguments become the function's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import pytest

from app.agent.tools.function_tool import FunctionToolset, function_tool, tool
from app.agent.toolset import ToolContext, ToolResult
from tests.agent.cancellation import FakeCancellation

CONTEXT = ToolContext(Path("/somewhere"), FakeCancellation())


class Pair(TypedDict):
    old: Annotated[str, "What goes"]
    new: NotRequired[str]


@tool(title="All of it", read_only=True)
def everything(
    context: ToolContext,
    *,
    path: Annotated[str, "Where", {"default": "."}] = "",
    text: Annotated[str, "What", {"enum": ["a", "b"]}],
    pairs: Annotated[Sequence[Pair], "The pairs"],
    count: Annotated[int, "How many (all)"] = 0,
    loud: bool = False,
    form: Annotated[dict[str, Any] | None, "A form"] = None,
    ids: Sequence[str] | None = None,
) -> ToolResult:
    """Shows everything,
    on one line."""
    return ToolResult(repr([context.working_dir, path, text, list(pairs), count, loud, form, ids]))


@tool()
def add_nothing() -> ToolResult:
    """Takes nothing."""
    return ToolResult("nothing")


@tool()
def anything(name: str, **_others: Any) -> ToolResult:
    """Takes more than it reads."""
    return ToolResult(name)


def test_a_signature_is_the_schema() -> None:
    made = function_tool(everything, "some")
    assert (made.name, made.title, made.category, made.read_only) == (
        "everything",
        "All of it",
        "some",
        True,
    )
    assert made.description == "Shows everything, on one line."
    assert made.parameters == {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where", "default": "."},
            "text": {"type": "string", "description": "What", "enum": ["a", "b"]},
            "pairs": {
                "type": ["null", "array"],
                "items": {
                    "type": "object",
                    "properties": {
                        "old": {"type": "string", "description": "What goes"},
                        "new": {"type": "string"},
                    },
                    "required": ["old"],
                    "additionalProperties": False,
                },
                "description": "The pairs",
            },
            "count": {"type": "integer", "description": "How many (all)"},
            "loud": {"type": "boolean"},
            "form": {"type": "object", "additionalProperties": True, "description": "A form"},
            "ids": {"type": ["null", "array"], "items": {"type": "string"}},
        },
        "required": ["path", "text", "pairs"],
        "additionalProperties": False,
    }


def test_a_function_that_takes_nothing_has_no_schema_and_one_with_others_an_open_one() -> None:
    made = function_tool(add_nothing, "some")
    assert (made.parameters, made.title) == (None, "Add Nothing")
    assert function_tool(anything, "some").parameters == {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    }


def test_texts_that_are_known_late_describe_one_tool_only() -> None:
    made = function_tool(anything, "some", name="One of: a, b")
    assert made.parameters is not None
    assert made.parameters["properties"] == {"name": {"type": "string", "description": "One of: a, b"}}
    assert function_tool(anything, "some").for_model()["input_schema"]["properties"] == {
        "name": {"type": "string"}
    }


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (
            {"text": "a", "pairs": [{"old": "x"}]},
            [Path("/somewhere"), "", "a", [{"old": "x"}], 0, False, None, None],
        ),
        (
            {"text": "a", "pairs": None, "ids": None, "count": None},
            [Path("/somewhere"), "", "a", [], 0, False, None, None],
        ),
        (
            {"Text": "b", "pairs": '[{"Old": "x"}]', "count": "3", "loud": "true", "form": "{}", "ids": []},
            [Path("/somewhere"), "", "b", [{"old": "x"}], 3, True, {}, []],
        ),
        (
            {"text": "", "path": "p", "pairs": [], "unheard_of": 1},
            [Path("/somewhere"), "p", "", [], 0, False, None, None],
        ),
    ],
)
def test_arguments_arrive_mended_and_null_is_not_given(arguments: dict[str, Any], read: list[Any]) -> None:
    assert function_tool(everything, "some").call(arguments, CONTEXT) == ToolResult(repr(read))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": "a"}, "pairs is missing"),
        ({"text": "a", "pairs": [{"new": "x"}]}, "pairs[0].old is missing"),
        ({"text": "c", "pairs": []}, "text must be one of a, b, not 'c'"),
        ({"text": "a", "pairs": [], "count": "many"}, "count must be a whole number, not a string"),
    ],
)
def test_arguments_that_do_not_fit_never_reach_the_function(arguments: dict[str, Any], words: str) -> None:
    outcome = function_tool(everything, "some").call(arguments, CONTEXT)
    assert outcome == ToolResult.error(f"Error calling tool: {words}")


def test_a_toolset_has_its_marked_methods_in_their_order() -> None:
    class Two(FunctionToolset):
        category = "two"

        def __init__(self, words: str) -> None:
            self._words = words

        @tool()
        def second(self) -> ToolResult:
            """Is first."""
            return ToolResult(self._words)

        @tool()
        def first(self, name: str) -> ToolResult:
            """Is second."""
            return ToolResult(self._words + name)

        def third(self) -> None:
            """Is no tool."""

    toolset = Two("a")
    assert [(made.name, made.category) for made in toolset.tools()] == [("second", "two"), ("first", "two")]
    assert [made.call({"name": "b"}, CONTEXT) for made in toolset.tools()] == [
        ToolResult("a"),
        ToolResult("ab"),
    ]
