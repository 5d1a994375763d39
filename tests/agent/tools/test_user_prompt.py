"""A question goes out instead of a result; the answer becomes the result."""

from __future__ import annotations

import pytest

from app.agent.tools.user_prompt import UserPromptToolset, answer_result
from app.agent.toolset import Elicitation, ToolResult
from tests.agent.tools.workbench import Workbench


def test_a_question_carries_its_message_title_and_schema(bench: Workbench) -> None:
    schema = {"type": "object"}
    asked = bench.ask(UserPromptToolset(), "user_prompt", message="Sure?", title="T", schema=schema)
    assert asked == Elicitation("Sure?", schema, {"cagent/title": "T"})


def test_a_question_without_a_title_has_no_meta(bench: Workbench) -> None:
    assert bench.ask(UserPromptToolset(), "user_prompt", message="Sure?") == Elicitation("Sure?", None, None)


def test_a_schema_that_is_no_object_is_refused(bench: Workbench) -> None:
    assert bench.call(UserPromptToolset(), "user_prompt", message="Sure?", schema="x").is_error


@pytest.mark.parametrize(
    ("action", "content", "output"),
    [
        ("accept", {"name": "é"}, '{"action":"accept","content":{"name":"é"}}'),
        ("decline", None, '{"action":"decline"}'),
        ("cancel", {}, '{"action":"cancel"}'),
    ],
)
def test_only_an_accepted_answer_is_no_error(
    action: str, content: dict[str, str] | None, output: str
) -> None:
    assert answer_result(action, content) == ToolResult(output, is_error=action != "accept")
