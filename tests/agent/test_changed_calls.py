"""A call that a person has approved with other arguments: it is judged anew, and the model is told what ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.agent.loop_steps import Ask, CallStarting
from app.agent.resumption import Resumption
from app.agent.tool_runner import UNKNOWN_OUTCOME
from app.agent.toolset import Outcome, Tool, ToolContext, ToolResult
from app.conversation.changed_call import changed_parts, told
from app.conversation.run import Answer, Question, ToolCall
from tests.agent.scripted_model import ScriptedModel, called, said
from tests.agent.stage import Stage
from tests.conversation.rows import assistant, user

ACT = called(("a", "act", {"x": "own"}))
RAN = 'A person changed the arguments of this call before it ran. It ran with: {"x":"changed"}\n\n'
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: d
    instruction: Be brief.
    hooks: {HOOKS}
permissions: {deny: ["act:x=evil*"]}
"""


def acting(seen: list[Any]) -> Tool:
    def handler(arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        seen.append(dict(arguments))
        return ToolResult("done")

    return Tool("act", "test", "Acts.", handler, parameters=SCHEMA)


def stage_of(seen: list[Any], *answers: Answer, hooks: str = "") -> Stage:
    stage = Stage(ScriptedModel(ACT, said("ok")), acting(seen), team=TEAM.replace("HOOKS", hooks))
    stage.answers = list(answers)
    return stage


def changed(x: str) -> Answer:
    return Answer("approve").changing({"x": x})


def test_it_runs_with_them_and_the_transcript_keeps_the_models_own() -> None:
    seen: list[Any] = []
    stage = stage_of(seen, changed("changed"))
    stage.perform(user("Hi"))
    assert seen == [{"x": "changed"}]
    assert stage.endings() == [("completed", f"{RAN}done")]
    assert [row.calls[0]["input"] for row in stage.rows if row.calls] == [{"x": "own"}]


def test_a_denial_holds_for_them_whoever_gave_the_approval() -> None:
    """As when the permissions have changed behind the answer."""
    seen: list[Any] = []
    stage = stage_of(seen, changed("evil deed"))
    stage.perform(user("Hi"))
    assert seen == []
    [(state, words)] = stage.endings()
    assert state == "rejected"
    assert words.startswith('A person changed the arguments of this call to: {"x":"evil deed"}')
    assert words.endswith("Tool 'act' is denied by permissions configuration.")
    assert not [step for step in stage.steps if isinstance(step, CallStarting)]


def test_a_guard_hears_of_them() -> None:
    guard = 'tool_guard: [{hooks: [{type: command, command: "! grep -q evil || exit 2"}]}]'
    for answer, state in ((changed("mostly evil"), "rejected"), (changed("good"), "completed")):
        stage = stage_of([], answer, hooks=guard)
        stage.perform(user("Hi"))
        assert [ended for ended, _ in stage.endings()] == [state]


def test_a_hook_that_rewrites_calls_rewrites_them_too() -> None:
    seen: list[Any] = []
    says = '{\\"hook_specific_output\\": {\\"updated_input\\": {\\"x\\": \\"rewritten\\"}}}'
    rewrite = f"tool_input_transform: [{{hooks: [{{type: command, command: \"echo '{says}'\"}}]}}]"
    stage = stage_of(seen, changed("changed"), hooks=rewrite)
    stage.perform(user("Hi"))
    assert seen == [{"x": "rewritten"}]
    assert '{"x":"rewritten"}' in stage.endings()[0][1]


def test_another_process_goes_on_with_them() -> None:
    seen: list[Any] = []
    stage = stage_of(seen)
    stage.model.lines.pop(0)
    [said_it] = [turn for turn in ACT if hasattr(turn, "content")]
    question = Question("approval", "s", "a", "act")
    known = {"a": ToolCall("a", "r", "act", {"x": "changed"}, decision="approve")}
    resumption = Resumption(known, question, changed("changed"), turns=1)
    stage.perform(user("Hi"), assistant(*said_it.content), resumption=resumption)
    assert seen == [{"x": "changed"}]
    assert not [step for step in stage.steps if isinstance(step, Ask)]
    assert stage.endings() == [("completed", f"{RAN}done")]
    begun = {"a": ToolCall("a", "r", "act", {"x": "changed"}, state="running", decision="approve")}
    stage = stage_of(seen)
    stage.model.lines.pop(0)
    stage.perform(user("Hi"), assistant(*said_it.content), resumption=Resumption(begun, turns=1))
    assert stage.endings() == [("unknown", f"{RAN}{UNKNOWN_OUTCOME}")]
    assert len(seen) == 1


def test_what_differs_is_named_and_cut() -> None:
    own, given = {"a": 1, "b": "x", "c": [1]}, {"a": 1, "b": "y" * 30, "d": None}
    assert changed_parts(given, own, longest=10) == {"b": "yyyyyyyyyy… (30 characters)", "d": None, "c": None}
    long = told({"path": "p", "content": "z" * 100_000}, {"path": "q", "content": ""}, began=True)
    assert len(long) < 1_000
    assert '"path":"p"' in long


def test_the_words_of_an_approval_that_changes_nothing_are_no_arguments() -> None:
    assert Answer("approve").arguments is None
    assert Answer("accept", content={"arguments": {"x": 1}}).arguments is None, "a form may have such a field"
    assert not Answer("approve").changing({"ends_run": True}).ends_run
