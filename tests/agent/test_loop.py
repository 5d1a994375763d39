"""The loop alone: what it says before what, when it lets others speak, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.agent.loop_steps import Ask, CallStarting, PicturesLeftOut, PromptFrozen, SafePoint, TurnAdded
from app.agent.model_client import ModelError, TextDelta
from app.agent.resumption import Resumption
from app.agent.tool_runner import UNREADABLE
from app.agent.toolset import Outcome, ToolCancelled, ToolContext, ToolResult
from app.conversation.blocks import plain_text
from app.conversation.call_events import (
    PartialToolCall,
    ToolCallConfirmation,
    ToolCallResponse,
    ToolCallStarted,
)
from app.conversation.events import AgentChoice, Event, MessageAdded, UserMessage
from app.conversation.run import Answer, Question, QuestionKind
from app.conversation.session import Session
from app.errors import ModelFailed, ModelRefused, RunCancelled
from tests.agent.scripted_model import ScriptedModel, called, said, turn
from tests.agent.stage import Stage, ledger, tool
from tests.conversation.rows import answer, assistant, call, user

ECHO = ("a", "echo", {"text": "one"})


def test_every_fact_is_stored_before_the_event_that_tells_of_it() -> None:
    stage = Stage(ScriptedModel(called(ECHO), said("done")), tool("echo"))
    names = stage.perform(user("Hi")) and stage.names()
    facts = (
        "PromptFrozen",
        "TurnAdded",
        "CallStarting",
        "ToolCallStarted",
        "CallEnded",
        "ToolCallResponse",
        "MessageAdded",
    )
    assert [name for name in names if name in facts] == [
        "PromptFrozen",
        *("TurnAdded", "MessageAdded"),
        *("CallStarting", "ToolCallStarted", "CallEnded", "ToolCallResponse", "MessageAdded"),
        *("TurnAdded", "MessageAdded"),
    ]
    assert stage.model.lines == []


@pytest.mark.parametrize("given", [("a", "a"), ("a", "a_2", "a"), ("", "no good!")])
def test_all_that_is_told_of_a_call_names_it_by_one_id(given: tuple[str, ...]) -> None:
    """Also if the model has used the id already, gives it twice, or gives none that can be used."""
    calls = [(name, "echo", {"text": str(number)}) for number, name in enumerate(given)]
    stage = Stage(ScriptedModel(called(*calls), said("done")), tool("echo", read_only=False))
    stage.answers = [Answer("approve")] * len(given)
    stage.perform(user("Hi"), assistant(call("a")), answer("a"), user("Again"))
    told: dict[type[Event], list[str]] = {}
    asked = [step.event for step in stage.steps if isinstance(step, Ask)]
    for event in [*stage.events(), *asked]:
        if isinstance(event, PartialToolCall | ToolCallConfirmation | ToolCallStarted | ToolCallResponse):
            ids = told.setdefault(type(event), [])
            if (name := event.tool_call["id"]) not in ids:
                ids.append(name)
    assert len(told) == 4
    assert len({tuple(sorted(ids)) for ids in told.values()}) == 1
    assert [len(ids) for ids in told.values()] == [len(given)] * 4


def test_the_handler_runs_after_its_start_is_stored_and_before_its_end_is() -> None:
    seen: list[list[str]] = []

    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        seen.append(stage.names())
        return ToolResult("ran")

    stage = Stage(ScriptedModel(called(("a", "act", {})), said("done")), tool("act", handler))
    stage.perform(user("Hi"))
    assert len(seen) == 1
    assert seen[0][-2:] == ["CallStarting", "ToolCallStarted"]
    assert "CallEnded" not in seen[0]


def test_others_may_speak_only_when_no_call_is_open() -> None:
    open_calls: list[tuple[str, ...]] = []
    stage = Stage(ScriptedModel(called(ECHO, ("b", "echo", {})), said("done")), tool("echo"))
    stage.at_safe_point = lambda: open_calls.append(stage.open_calls)
    stage.perform(user("Hi"))
    assert open_calls == [(), (), ()]
    assert [step.ending for step in stage.steps if isinstance(step, SafePoint)] == [False, False, True]


def test_f31_what_arrives_while_tools_run_is_heard_behind_all_their_results() -> None:
    model = ScriptedModel(called(ECHO, ("b", "echo", {}), ("c", "echo", {})), said("done"))
    stage = Stage(model, tool("echo"))
    stage.arrivals = [(), (user("Stop that."),)]
    stage.perform(user("Hi"))
    kinds = [block["type"] for block in model.requests[1]["messages"][-1]["content"]]
    assert kinds == ["tool_result"] * 3 + ["text"]


def test_what_arrives_at_the_end_is_still_answered() -> None:
    stage = Stage(ScriptedModel(said("first"), said("second")))
    stage.arrivals = [(), (user("And?"),)]
    stage.perform(user("Hi"))
    assert [event.content for event in stage.events() if isinstance(event, AgentChoice)] == [
        "first",
        "second",
    ]


def test_a_cancel_between_two_calls_leaves_the_second_alone() -> None:
    ran: list[str] = []

    def handler(arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        ran.append(arguments["name"])
        stage.cancellation.cancel()
        return ToolResult("ran")

    model = ScriptedModel(called(("a", "act", {"name": "a"}), ("b", "act", {"name": "b"})))
    stage = Stage(model, tool("act", handler))
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))
    assert ran == ["a"]
    assert stage.endings() == [("completed", "ran")]
    assert stage.open_calls == ("b",)


def test_a_tool_that_was_cut_off_by_a_cancel_is_stored_as_cancelled() -> None:
    def handler(_arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        raise ToolCancelled("half of the output")

    stage = Stage(ScriptedModel(called(("a", "act", {}))), tool("act", handler))
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))
    assert stage.endings() == [("cancelled", "half of the output")]


def test_a_cancel_before_the_first_turn_asks_no_model() -> None:
    stage = Stage(ScriptedModel())
    stage.cancellation.cancel()
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))


@pytest.mark.parametrize(("kind", "raised"), [("cancelled", RunCancelled), ("final", ModelFailed)])
def test_what_a_cut_turn_had_said_is_kept_and_marked(kind: Any, raised: type[Exception]) -> None:
    half = turn({"type": "text", "text": "Half an"}, stop_reason="")
    cut = ModelError("cut", kind=kind, partial=half, shown=True)
    stage = Stage(ScriptedModel([TextDelta("Half an"), cut]))
    with pytest.raises(raised):
        stage.perform(user("Hi"))
    assert stage.rows[-1].content == half.content
    assert stage.rows[-1].partial == {"cancelled": "cancelled", "final": "failed"}[kind]
    assert isinstance(stage.steps[-1], MessageAdded)


def test_calls_of_a_cut_turn_are_kept_but_not_run() -> None:
    half = turn({"type": "tool_use", "id": "a", "name": "echo", "input": {}}, stop_reason="")
    cut = ModelError("cut", kind="final", partial=half, shown=True)
    stage = Stage(ScriptedModel([cut]), tool("echo"))
    with pytest.raises(ModelFailed):
        stage.perform(user("Hi"))
    assert stage.open_calls == ("a",)
    assert not any(isinstance(step, CallStarting) for step in stage.steps)


def test_a_cut_turn_that_had_said_nothing_leaves_nothing() -> None:
    stage = Stage(ScriptedModel([ModelError("no", kind="final")]))
    with pytest.raises(ModelFailed, match="all models failed: no"):
        stage.perform(user("Hi"))
    assert stage.rows == [user("Hi")]


def test_a_refusal_runs_none_of_its_calls_and_keeps_none_of_its_words() -> None:
    refused = called(ECHO, stop_reason="refusal")
    stage = Stage(ScriptedModel(refused), tool("echo"))
    with pytest.raises(ModelRefused):
        stage.perform(user("Hi"))
    assert stage.rows == [user("Hi")]
    assert stage.names()[-1] == "TurnRefused"


@pytest.mark.parametrize("ending", ["return", "raise", "close"])
def test_the_tools_are_stopped_however_the_run_ends(ending: str) -> None:
    model = ScriptedModel([ModelError("no", kind="final")] if ending == "raise" else said("done"))
    stage = Stage(model, tool("echo"))
    match ending:
        case "return":
            stage.perform(user("Hi"))
        case "raise":
            with pytest.raises(ModelFailed):
                stage.perform(user("Hi"))
        case "close":
            stage.at_safe_point = lambda: (_ for _ in ()).throw(ConnectionError())
            with pytest.raises(ConnectionError):
                stage.perform(user("Hi"))
    assert (stage.toolset.started, stage.toolset.stopped) == (1, 1)


def test_the_prompt_is_frozen_once_and_sent_byte_for_byte_in_later_runs() -> None:
    model = ScriptedModel(said("one"), said("two"))
    stage = Stage(model, tool("echo"))
    stage.perform(user("Hi"))
    stage.perform(user("And?"))
    assert len([step for step in stage.steps if isinstance(step, PromptFrozen)]) == 1
    first, second = model.requests
    assert (first["system"], first["tools"]) == (second["system"], second["tools"])
    assert {row.prompt for row in stage.rows if row.role == "assistant"} == {
        prompt.digest for prompt in stage.prompts.values()
    }


def test_thinking_that_the_api_refuses_is_left_out_under_a_new_prompt() -> None:
    model = ScriptedModel([ModelError("bound elsewhere", kind="thinking_mismatch")], said("done"))
    stage = Stage(model)
    stage.perform(user("Hi"))
    frozen = [step.prompt.digest for step in stage.steps if isinstance(step, PromptFrozen)]
    assert len(set(frozen)) == 2
    assert stage.rows[-1].prompt == frozen[1]


def test_the_model_is_not_asked_a_third_time_for_its_thinking() -> None:
    mismatch = [ModelError("bound elsewhere", kind="thinking_mismatch")]
    stage = Stage(ScriptedModel(mismatch, mismatch))
    with pytest.raises(ModelFailed):
        stage.perform(user("Hi"))


def test_a_broken_call_is_answered_and_its_neighbours_run() -> None:
    model = ScriptedModel(called(ECHO, ("b", "echo", {"INVALID_JSON": "{"}), broken=["b"]), said("done"))
    stage = Stage(model, tool("echo"))
    stage.perform(user("Hi"))
    assert [state for state, _ in stage.endings()] == ["completed", "failed"]


def test_the_tokens_of_a_turn_are_what_was_read_and_written() -> None:
    stage = Stage(ScriptedModel(said("done")))
    stage.perform(user("Hi"))
    assert [step.tokens for step in stage.steps if isinstance(step, TurnAdded)] == [(15, 5)]


def test_a_run_on_a_broken_history_sends_a_healed_one() -> None:
    model = ScriptedModel(said("done"))
    stage = Stage(model, tool("look"))
    stage.perform(user("Hi"), assistant(call("a")), user("Well?"))
    assert [message["role"] for message in model.requests[0]["messages"]] == ["user", "assistant", "user"]


# ---- going on where another process stopped

WAITING = Question("approval", session_id="s", call_id="a", name="act", id="q")


def resumed(answer: Answer, **states: Any) -> Stage:
    stage = Stage(ScriptedModel(said("done")), tool("act", lambda _a, _c: ToolResult("ran"), read_only=False))
    before = [user("Hi"), assistant(call("a", name="act"), call("b", name="act"))]
    stage.answers = [Answer("approve")]
    stage.perform(*before, resumption=Resumption(ledger(**states), WAITING, answer))
    return stage


def test_f21_a_call_that_was_approved_after_a_restart_runs_once_without_another_question() -> None:
    stage = resumed(Answer("approve"), a="awaiting_approval", b="pending")
    assert stage.endings() == [("completed", "ran"), ("completed", "ran")]
    assert stage.names().count("Ask") == 1, "only the second call is asked about"
    assert not any(isinstance(event, UserMessage) for event in stage.events()), "the prologue was seen before"


def test_a_call_that_was_rejected_after_a_restart_does_not_run() -> None:
    stage = resumed(Answer("reject", reason="no"), a="awaiting_approval", b="pending")
    assert stage.endings()[0] == ("rejected", "The user rejected the tool call. Reason: no")


def test_p6_a_call_that_was_running_when_its_process_died_is_unknown_and_never_runs_again() -> None:
    stage = resumed(Answer("approve"), a="running", b="pending")
    state, words = stage.endings()[0]
    assert state == "unknown"
    assert "not known whether" in words
    assert [step.call_id for step in stage.steps if isinstance(step, CallStarting)] == ["b"]


def test_a_call_that_can_not_be_read_does_not_run_in_another_process_either() -> None:
    stage = Stage(ScriptedModel(said("done")), tool("act", lambda _a, _c: ToolResult("ran"), read_only=False))
    before = [user("Hi"), assistant(call("a", name="act"), call("b", name="act"))]
    calls = ledger(a="pending", b="pending")
    calls["b"] = replace(calls["b"], broken=True)
    stage.perform(*before, resumption=Resumption(calls, WAITING, Answer("approve")))
    assert stage.endings() == [("completed", "ran"), ("failed", UNREADABLE)]


def test_turns_of_another_process_count_towards_the_limit() -> None:
    """With leave for ten more after the first two, and nine of them gone, one is left."""
    another = called(("c", "act", {}))
    stage = Stage(
        ScriptedModel(another, said("done")), tool("act", read_only=False), session=Session("s", 0.0)
    )
    stage.session = replace(stage.session, max_iterations=2, tools_approved=True)
    stage.answers = [Answer("approve")]
    before = [user("Hi"), assistant(call("a", name="act"))]
    resumption = Resumption(ledger(a="pending"), WAITING, Answer("approve"), turns=11)
    stage.perform(*before, resumption=resumption)
    asked = [step.question for step in stage.steps if isinstance(step, Ask)]
    assert [(question.kind, question.details["limit"]) for question in asked] == [("max_iterations", 12)]


@pytest.mark.parametrize("kind", ["approval", "max_iterations"])
def test_an_answer_to_another_session_of_the_run_answers_nothing_here(kind: QuestionKind) -> None:
    """It may have a call with the same id, and a limit of its own."""
    stage = Stage(
        ScriptedModel(said("done")),
        tool("act", lambda _a, _c: ToolResult("ran"), read_only=False),
        session=Session("s", 0.0, max_iterations=1),
    )
    before = [user("Hi"), assistant(call("a", name="act"))]
    question = Question(kind, "a task's", "a" if kind == "approval" else "", details={"limit": 1})
    stage.answers = [Answer("approve"), Answer("approve")]
    resumption = Resumption(ledger(a="pending"), question, Answer("reject"), turns=1)
    stage.perform(*before, resumption=resumption)
    assert stage.endings() == [("completed", "ran")]
    asked = [step.question.kind for step in stage.steps if isinstance(step, Ask)]
    assert asked == ["approval", "max_iterations"]
    assert plain_text(stage.rows[-1].content) == "done"


ADDRESS = {"type": "image", "source": {"type": "url", "url": "https://example.com/gone.png"}}
REFUSED = ModelError("Unable to download the file.", kind="picture_refused", status=400)
NAMED = ModelError(
    "messages.2.content.1.image.source.url: Unable to download the file.", kind="picture_refused"
)


def pictures_shown(model: ScriptedModel) -> list[int]:
    return [str(request["messages"]).count("'image'") for request in model.requests]


def test_a_picture_that_the_api_has_named_is_left_out_and_the_others_stay() -> None:
    stage = Stage(ScriptedModel([NAMED], said("done")))
    rows = [user("one", ADDRESS), assistant("yes"), user("two", ADDRESS)]
    stage.perform(*(replace(row, position=place) for place, row in enumerate(rows)))
    assert pictures_shown(stage.model) == [2, 1]
    [left_out] = [step for step in stage.steps if isinstance(step, PicturesLeftOut)]
    assert list(left_out.positions) == [2]


def test_of_pictures_that_the_api_has_not_named_none_stays_and_the_call_is_repeated_once() -> None:
    stage = Stage(ScriptedModel([REFUSED], [REFUSED]))
    with pytest.raises(ModelFailed, match="Unable to download"):
        stage.perform(replace(user("one", ADDRESS), position=0))
    assert pictures_shown(stage.model) == [1, 0]


def test_a_refusal_of_pictures_where_there_are_none_ends_the_run() -> None:
    stage = Stage(ScriptedModel([REFUSED]))
    with pytest.raises(ModelFailed, match="Unable to download"):
        stage.perform(replace(user("one"), position=0))


def test_of_many_pictures_at_addresses_that_are_too_large_none_stays() -> None:
    words = "messages.0.content.1.image.source.url: … max allowed size for many-image requests: 2000 pixels"
    stage = Stage(ScriptedModel([ModelError(words, kind="picture_refused", status=400)], said("done")))
    rows = [user("one", ADDRESS), assistant("yes"), user("two", ADDRESS)]
    stage.perform(*(replace(row, position=place) for place, row in enumerate(rows)))
    assert pictures_shown(stage.model) == [2, 0]
