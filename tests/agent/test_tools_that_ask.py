"""Tools that go on with an answer, and toolsets that want one before they start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.agent.loop_steps import Ask
from app.agent.resumption import Resumption
from app.agent.tool_runner import UNKNOWN_OUTCOME
from app.agent.toolset import (
    Elicitation,
    Outcome,
    OutcomeUnknown,
    QuestionFirst,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolResult,
)
from app.conversation.events import AuthorizationEvent, ElicitationRequest
from app.conversation.run import Answer, Question, unknown_outcome
from app.errors import RunCancelled
from tests.agent.scripted_model import ScriptedModel, called, said
from tests.agent.stage import FakeToolset, Stage, ledger, tool
from tests.conversation.rows import user

ACT = called(("a", "act", {"x": 1}))


class Asker:
    """A tool that asks for a name until it is told one."""

    def __init__(self) -> None:
        self.abandoned = 0
        self.breaks: Exception | None = None

    def handler(self, _arguments: Mapping[str, Any], _context: ToolContext) -> Outcome:
        return self._question("Who?")

    def _question(self, words: str) -> Elicitation:
        return Elicitation(
            words, mode="url", url="http://x/", elicitation_id="7", then=self._then, abandon=self._abandon
        )

    def _then(self, action: str, content: Mapping[str, Any] | None) -> Outcome:
        if self.breaks is not None:
            raise self.breaks
        return ToolResult(f"{action} {content}") if content else self._question("Who, then?")

    def _abandon(self) -> None:
        self.abandoned += 1


def stage_of(asker: Asker, *lines: Any) -> Stage:
    return Stage(ScriptedModel(*lines), tool("act", asker.handler))


def test_a_tool_may_ask_again_before_it_answers() -> None:
    stage = stage_of(Asker(), ACT, said("done"))
    stage.answers = [Answer("decline"), Answer("accept", content={"name": "Ann"})]
    stage.perform(user("Hi"))
    asked = [step.event for step in stage.steps if isinstance(step, Ask)]
    assert [
        (event.message, event.mode, event.url, event.elicitation_id)
        for event in asked
        if isinstance(event, ElicitationRequest)
    ] == [("Who?", "url", "http://x/", "7"), ("Who, then?", "url", "http://x/", "7")]
    assert stage.endings() == [("completed", "accept {'name': 'Ann'}")]


def test_a_tool_is_told_when_nobody_will_answer() -> None:
    asker = Asker()
    stage = stage_of(asker, ACT)
    with pytest.raises(IndexError):
        stage.perform(user("Hi"))  # no answer is there
    assert asker.abandoned == 1


def test_a_cancel_while_it_goes_on_ends_the_run() -> None:
    asker = Asker()
    asker.breaks = ToolCancelled("stopped")
    stage = stage_of(asker, ACT)
    stage.answers = [Answer("accept", content={"name": "Ann"})]
    with pytest.raises(RunCancelled):
        stage.perform(user("Hi"))
    assert stage.endings() == [("cancelled", "stopped")]


@pytest.mark.parametrize(
    ("breaks", "ending"),
    [
        (OutcomeUnknown("the connection was cut"), ("unknown", unknown_outcome("the connection was cut"))),
        (ToolFailed("no such colour"), ("failed", "Error calling tool: no such colour")),
        (KeyError("name"), ("failed", "Error calling tool: 'name'")),
    ],
)
def test_a_tool_that_goes_on_may_fail_as_any_other(breaks: Exception, ending: tuple[str, str]) -> None:
    asker = Asker()
    asker.breaks = breaks
    stage = stage_of(asker, ACT, said("done"))
    stage.answers = [Answer("accept", content={"name": "Ann"})]
    stage.perform(user("Hi"))
    assert stage.endings() == [ending]


@pytest.mark.parametrize("there", [True, False])
def test_an_answer_to_a_tool_that_died_with_its_process_is_no_refusal(there: bool) -> None:
    """The tool's server may be away by now."""
    stage = stage_of(Asker(), said("done"))
    if not there:
        stage.toolset = FakeToolset()
    first = stage_of(Asker(), ACT)
    with pytest.raises(IndexError):
        first.perform(user("Hi"))
    stage.rows = list(first.rows)
    stage.prompts = first.prompts
    question = Question("elicitation", session_id="s", call_id="a", name="act")
    answer = Answer("accept", content={"name": "Ann"})
    stage.perform(resumption=Resumption(ledger(a="running"), question, answer))
    assert stage.endings() == [("unknown", UNKNOWN_OUTCOME)]


class Locked(FakeToolset):
    """Starts once somebody has given it the key."""

    def __init__(self) -> None:
        super().__init__(tool("open"))
        self.key = ""
        self.declined = False

    def start(self) -> None:
        if self.declined:
            raise OSError("nobody has the key")
        if not self.key:
            raise QuestionFirst(Elicitation("The key?", meta={"a": 1}), self._settle)

    def _settle(self, action: str, content: Mapping[str, Any] | None) -> bool:
        self.key = str((content or {}).get("key", ""))
        self.declined = action != "accept"
        return bool(self.key)


def test_a_toolset_may_ask_before_it_starts() -> None:
    stage = Stage(ScriptedModel(said("done")))
    stage.toolset = Locked()
    stage.answers = [Answer("accept", content={"key": "k"})]
    stage.perform(user("Hi"))
    names = stage.names()
    assert names.index("AuthorizationEvent") < names.index("ToolsetInfo")
    assert [event.confirmation for event in stage.events() if isinstance(event, AuthorizationEvent)] == [
        "accept"
    ]
    assert [tool["name"] for tool in stage.model.requests[0]["tools"]] == ["open"]


def test_a_toolset_that_got_no_answer_is_left_out_with_a_warning() -> None:
    stage = Stage(ScriptedModel(said("done")))
    stage.toolset = Locked()
    stage.answers = [Answer("decline")]
    stage.perform(user("Hi"))
    assert "AuthorizationEvent" not in stage.names()
    assert "Warning" in stage.names()
    assert "tools" not in stage.model.requests[0]


def test_a_toolset_takes_the_answer_to_what_it_had_asked_in_another_process() -> None:
    stage = Stage(ScriptedModel(said("done")))
    stage.toolset = Locked()
    first = Stage(ScriptedModel())
    first.toolset = Locked()
    with pytest.raises(IndexError):
        first.perform(user("Hi"))
    [asked] = [step.question for step in first.steps if isinstance(step, Ask)]
    answer = Answer("accept", content={"key": "k"})
    stage.perform(user("Hi"), resumption=Resumption({}, asked, answer))
    assert "Ask" not in stage.names()
    names = stage.names()
    assert names.index("AuthorizationEvent") < names.index("StreamStarted"), "the prologue is not over before"
    assert [tool["name"] for tool in stage.model.requests[0]["tools"]] == ["open"]


def test_the_question_of_a_handler_that_works_on_says_so() -> None:
    stage = stage_of(Asker(), ACT)
    with pytest.raises(IndexError):
        stage.perform(user("Hi"))
    assert [step.handler_ended for step in stage.steps if isinstance(step, Ask)] == [False]
