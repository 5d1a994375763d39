"""One call: who is asked, what runs, what the readers and the model are told."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.agent.loop_steps import Ask, CallEnded
from app.agent.toolset import (
    CANCELLED_TOO_LATE,
    Elicitation,
    Outcome,
    OutcomeUnknown,
    Tool,
    ToolContext,
    ToolFailed,
    ToolResult,
)
from app.conversation.call_events import ToolCallResponse
from app.conversation.run import Answer
from app.conversation.session import Session
from app.conversation.wire_content import arguments_text
from app.errors import RunCancelled
from tests.agent.scripted_model import ScriptedModel, called, said
from tests.agent.stage import Stage, tool
from tests.agent.tools.pictures import data_uri, drawn, jpeg, png
from tests.conversation.rows import user

UNKNOWN = "It is not known whether this tool call took effect: {}. Check before you repeat it."
ACT = called(("a", "act", {"x": 1}))


def performed(outcome: Outcome | Exception, *answers: Answer, read_only: bool = True) -> Stage:
    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    stage = Stage(ScriptedModel(ACT, said("done")), tool("act", handler, read_only=read_only))
    stage.answers = list(answers)
    stage.perform(user("Hi"))
    return stage


def response(stage: Stage) -> ToolCallResponse:
    return next(event for event in stage.events() if isinstance(event, ToolCallResponse))


def test_blank_output_stays_blank_for_readers_and_becomes_a_word_for_the_model() -> None:
    stage = performed(ToolResult(" \n"))
    assert response(stage).response == " \n"
    assert stage.endings() == [("completed", "(no output)")]


def test_a_tool_that_fails_tells_the_model_why() -> None:
    stage = performed(ToolFailed("no such file"))
    assert stage.endings() == [("failed", "Error calling tool: no such file")]
    assert response(stage).result == {"output": "Error calling tool: no such file", "isError": True}


def test_a_tool_that_breaks_is_an_answer_too_and_our_bug_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = performed(ZeroDivisionError("division by zero"))
    assert stage.endings() == [("failed", "Error calling tool: division by zero")]
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_tool_that_breaks_may_have_done_something_unless_it_only_reads() -> None:
    stage = performed(ZeroDivisionError("division by zero"), Answer("approve"), read_only=False)
    assert stage.endings() == [("unknown", UNKNOWN.format("the tool broke (division by zero)"))]


def test_a_request_that_was_not_answered_is_neither_failed_nor_cancelled() -> None:
    stage = performed(OutcomeUnknown("the connection was cut"))
    words = UNKNOWN.format("the connection was cut")
    assert stage.endings() == [("unknown", words)]
    assert response(stage).result == {"output": words, "isError": True}
    assert stage.rows[2].content[0]["is_error"]


def test_a_cancel_after_the_request_has_left_ends_the_run_and_not_the_call() -> None:
    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        stage.cancellation.cancel()
        raise OutcomeUnknown(CANCELLED_TOO_LATE)

    stage = Stage(ScriptedModel(called(("a", "act", {}), ("b", "act", {}))), tool("act", handler))
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))
    assert stage.endings() == [("unknown", UNKNOWN.format(CANCELLED_TOO_LATE))]


def test_what_is_for_readers_goes_neither_to_the_model_nor_to_the_store() -> None:
    stage = performed(ToolResult("out", meta={"lines": 3}, structured={"a": 1}))
    assert response(stage).result == {"output": "out", "meta": {"lines": 3}, "structuredContent": {"a": 1}}
    assert "lines" not in str(stage.rows)


def test_images_go_to_the_model_as_blocks() -> None:
    data = base64.b64encode(drawn(8, 8)).decode()
    stage = performed(ToolResult("a picture", images=[("image/png", data)]))
    block = stage.rows[2].content[0]
    assert [part["type"] for part in block["content"]] == ["text", "image"]
    assert response(stage).result["images"] == [{"data": data, "mimeType": "image/png"}]


@pytest.mark.parametrize("written", [data_uri(drawn(8, 8)), f"\n{data_uri(drawn(8, 8))}\n"])
def test_a_text_that_is_nothing_but_a_picture_is_that_picture(written: str) -> None:
    stage = performed(ToolResult(written))
    block = stage.rows[2].content[0]
    assert [part["type"] for part in block["content"]] == ["text", "image"]
    assert block["content"][0]["text"] == "(no output)"


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (drawn(300, 300)[:-200], "[a picture that is damaged (image/png that can't be decoded)]"),
        (b"<svg/>", "[a picture that is of a kind that can't be shown]"),
        (png(8000, 8000), "[a picture that is too large (8000x8000 pixels, max 50000000 in all)]"),
        (jpeg(50, 50) + b"\xff\xda" * 101, "[a picture that is damaged (image/jpeg with too many parts)]"),
    ],
)
def test_a_picture_that_the_api_would_refuse_becomes_a_remark(data: bytes, remark: str) -> None:
    whole = base64.b64encode(drawn(8, 8)).decode()
    given = [("image/png", base64.b64encode(data).decode()), ("image/png", whole)]
    stage = performed(ToolResult("two pictures", images=given))
    block = stage.rows[2].content[0]
    assert block["content"][0]["text"] == f"two pictures\n{remark}"
    assert [part["source"]["data"] for part in block["content"][1:]] == [whole]
    assert response(stage).result["images"] == [{"data": whole, "mimeType": "image/png"}]


def test_pictures_of_many_results_of_one_turn_are_bounded_together() -> None:
    whole = base64.b64encode(drawn(8, 8)).decode()

    def look(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        return ToolResult("seen", images=[("image/png", whole)] * 15)

    model = ScriptedModel(called(*((f"c{n}", "look", {"n": n}) for n in range(4))), said("done"))
    stage = Stage(model, tool("look", look))
    stage.perform(user("Hi"))
    counts = [str(row.content).count("'image'") for row in stage.rows if row.role == "tool"]
    assert counts == [15, 15, 10, 0]
    assert str(stage.rows[-2].content).count("left out: there are more than 40") == 15


def test_a_tool_that_acts_is_asked_about_and_one_that_reads_is_not() -> None:
    assert performed(ToolResult("ran")).names().count("Ask") == 0
    stage = performed(ToolResult("ran"), Answer("approve"), read_only=False)
    question = next(step.question for step in stage.steps if isinstance(step, Ask))
    assert (question.kind, question.call_id, question.name) == ("approval", "a", "act")
    assert question.details["arguments"] == {"x": 1}


def test_an_approval_that_nobody_gave_in_time_is_not_called_a_rejection() -> None:
    stage = performed(ToolResult("ran"), Answer("expired"), read_only=False)
    [(state, words)] = stage.endings()
    assert state == "rejected"
    assert "not rejected" in words


def test_a_question_of_a_tool_becomes_its_result() -> None:
    stage = performed(Elicitation("Which?"), Answer("accept", content={"answer": "blue"}))
    assert stage.endings() == [("completed", '{"action":"accept","content":{"answer":"blue"}}')]


def test_the_state_of_a_toolset_is_stored_with_the_result_that_changed_it() -> None:
    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        stage.toolset.value = {"todos": 1}
        return ToolResult("ran")

    stage = Stage(
        ScriptedModel(ACT, called(("b", "echo", {})), said("done")), tool("act", handler), tool("echo")
    )
    stage.perform(user("Hi"))
    assert [step.states for step in stage.steps if isinstance(step, CallEnded)] == [
        {"fake": {"todos": 1}},
        {},
    ]


def test_what_was_toggled_meanwhile_counts_for_the_next_call() -> None:
    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        stage.session = Session("s", 0.0, tools_approved=True)
        return ToolResult("ran")

    model = ScriptedModel(called(("a", "act", {}), ("b", "act", {})), said("done"))
    stage = Stage(model, tool("act", handler, read_only=False))
    stage.answers = [Answer("approve")]
    stage.perform(user("Hi"))
    assert stage.names().count("Ask") == 1
    assert len(stage.endings()) == 2


@pytest.mark.parametrize(("arguments", "text"), [({}, ""), ({"a": 1}, '{"a":1}'), ({"ä": "ö"}, '{"ä":"ö"}')])
def test_arguments_are_json_text_and_nothing_for_none(arguments: dict[str, Any], text: str) -> None:
    assert arguments_text(arguments) == text


COUNTED = {"type": "object", "properties": {"x": {"type": "integer"}}}


@pytest.mark.parametrize("calls", [1, 2], ids=["alone", "side by side"])
def test_a_calls_arguments_are_fitted_once(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    fitted, fit = [], Tool.fit

    def counted(self: Tool, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        fitted.append(arguments)
        return fit(self, arguments)

    monkeypatch.setattr(Tool, "fit", counted)
    act = replace(tool("act", lambda arguments, _context: ToolResult(repr(arguments))), parameters=COUNTED)
    model = ScriptedModel(called(*((f"c{n}", "act", {"x": str(n)}) for n in range(calls))), said("done"))
    stage = Stage(model, act)
    stage.perform(user("Hi"))
    assert stage.endings() == [("completed", f"{{'x': {n}}}") for n in range(calls)]
    assert fitted == [{"x": str(n)} for n in range(calls)]


@pytest.mark.parametrize(
    ("changed", "ending"),
    [
        ('{"x": "5"}', ("completed", "{'x': 5}")),
        (
            '{"x": "many"}',
            ("failed", "Error calling tool: x must be a whole number, not a string"),
        ),
    ],
)
def test_arguments_that_a_hook_changed_are_fitted_again(changed: str, ending: tuple[str, str]) -> None:
    command = f"""echo '{{"hook_specific_output": {{"updated_input": {changed}}}}}'"""
    gate = {"pre_tool_use": [{"hooks": [{"type": "command", "command": command}]}]}
    agent = {"model": "anthropic/claude-sonnet-5-5", "description": "d", "instruction": "i", "hooks": gate}
    act = replace(tool("act", lambda arguments, _context: ToolResult(repr(arguments))), parameters=COUNTED)
    stage = Stage(ScriptedModel(ACT, said("done")), act, team=json.dumps({"agents": {"root": agent}}))
    stage.perform(user("Hi"))
    assert stage.endings() == [ending]
