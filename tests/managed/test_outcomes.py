"""`user.define_outcome`: the work is graded when the agent is done, and revised until it meets its rubric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import outcome_judge
from app.conversation.grading import Verdict, read_verdict
from app.factory import Server
from app.managed.id_validation import number_of
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_budgets import limit, reasons
from tests.managed.test_budgets import started as dear_session
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, server, types, until_idle
from tests.managed.toolset_calls import ASK, call, events, started, waiting

__all__ = ["server"]

START, ONGOING, END = (f"span.outcome_evaluation_{part}" for part in ("start", "ongoing", "end"))
DEFINE = "user.define_outcome"


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


Grader = Callable[..., None]


@pytest.fixture
def grader(monkeypatch: pytest.MonkeyPatch) -> Grader:
    """Sets the grader's verdicts, whatever the stand-in says."""

    def set_verdicts(*results: str | None) -> None:
        left = iter(results)

        def read(_text: str) -> Verdict | None:
            result = next(left)
            return None if result is None else Verdict(result, f"It is {result}.")

        monkeypatch.setattr(outcome_judge, "read_verdict", read)

    return set_verdicts


def outcome(description: str = "[say Draft.]", rubric: str = "It is short.", **more: Any) -> Any:
    return {"type": DEFINE, "description": description, "rubric": {"type": "text", "content": rubric}, **more}


def evaluations(sdk: Sdk, session: str) -> list[Any]:
    return list(sdk.checked(sdk.beta.sessions.retrieve(session)).outcome_evaluations)


def test_work_that_meets_the_rubric_is_done(
    sdk: Sdk, new_session: SessionMaker, grader: Grader, model: OfflineServer
) -> None:
    grader("satisfied")
    session = new_session().id
    sent = sdk.checked(sdk.beta.sessions.events.send(session, events=[outcome()]))
    assert sent.data is not None
    echo: Any = sent.data[0]
    assert (echo.max_iterations, echo.rubric.content) == (3, "It is short.")
    assert echo.processed_at is not None
    until_idle(sdk, session)
    assert types(sdk, session) == [*AROUND, DEFINE, *REQUEST, START, ONGOING, END, *IDLE]
    (start,), (end,) = events(sdk, session, START), events(sdk, session, END)
    assert (end.outcome_evaluation_start_id, end.outcome_id) == (start.id, echo.outcome_id)
    assert (end.iteration, end.result, end.explanation) == (0, "satisfied", "It is satisfied.")
    assert end.usage.output_tokens > 0
    (one,) = evaluations(sdk, session)
    assert (one.outcome_id, one.result, one.iteration) == (echo.outcome_id, "satisfied", 0)
    assert (one.explanation, one.description) == ("It is satisfied.", "[say Draft.]")
    assert one.completed_at is not None
    graded = model.requests[-1]
    assert len(graded["messages"]) == 1, "the grader has a conversation of its own"
    assert "tools" not in graded or graded["tools"] == []
    asked = str(graded["messages"])
    assert "Agent: Draft." in asked
    assert "It is short." in asked
    (listed,) = [found for found in sdk.checked(sdk.beta.sessions.list()).data if found.id == session]
    assert [one.result for one in listed.outcome_evaluations] == ["satisfied"]
    grader("satisfied")
    sdk.beta.sessions.events.send(session, events=[outcome("[say Next.]")])
    until_idle(sdk, session, times=2)
    assert [one.description for one in evaluations(sdk, session)] == ["[say Draft.]", "[say Next.]"]


def test_work_is_revised_as_often_as_it_may_be(
    sdk: Sdk, new_session: SessionMaker, grader: Grader, model: OfflineServer
) -> None:
    grader("needs_revision", "needs_revision")
    session = new_session(initial_events=[outcome(max_iterations=2)]).id
    until_idle(sdk, session)
    cycle = [*REQUEST, START, ONGOING, END]
    assert types(sdk, session) == [*AROUND, DEFINE, *cycle, *cycle, *REQUEST, *IDLE]
    ends = [(end.iteration, end.result) for end in events(sdk, session, END)]
    assert ends == [(0, "needs_revision"), (1, "max_iterations_reached")]
    (one,) = evaluations(sdk, session)
    assert (one.result, one.iteration) == ("max_iterations_reached", 1)
    told = [message["content"][0]["text"] for message in model.requests[-1]["messages"][2::2]]
    assert ["It is needs_revision." in text for text in told] == [True, True]
    assert "no revisions left" in told[-1]
    assert [one.content[0].text for one in events(sdk, session, "user.message")] == []


def test_a_grader_without_a_verdict_is_asked_again(
    sdk: Sdk, new_session: SessionMaker, grader: Grader
) -> None:
    grader(None, None)
    session = new_session(initial_events=[outcome()]).id
    until_idle(sdk, session)
    assert types(sdk, session)[-7:] == [START, ONGOING, ONGOING, END, *IDLE]
    (one,) = evaluations(sdk, session)
    assert (one.result, one.explanation) == ("failed", "The grader came to no verdict.")


def test_a_run_that_fails_fails_its_outcome(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session(initial_events=[outcome("[fail 400]")]).id
    until_idle(sdk, session)
    assert types(sdk, session)[-5:] == [END, "session.error", *IDLE]
    (end,) = events(sdk, session, END)
    assert (end.result, end.outcome_evaluation_start_id) == ("failed", "")
    assert "ended before the outcome was reached" in evaluations(sdk, session)[0].explanation


def test_an_interrupt_ends_the_outcome(sdk: Sdk, new_session: SessionMaker, model: OfflineServer) -> None:
    session = new_session(initial_events=[outcome("[words 9][stall 5]")]).id
    eventually(lambda: model.requests, "the model is asked")
    (one,) = evaluations(sdk, session)
    assert (one.result, one.completed_at, one.explanation) == ("running", None, None)
    with pytest.raises(
        anthropic.BadRequestError, match=f"one outcome at a time: {one.outcome_id} is running"
    ):
        sdk.beta.sessions.events.send(session, events=[outcome()])
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session)
    assert types(sdk, session)[-5:] == [END, "user.interrupt", *IDLE]
    (end,) = events(sdk, session, END)
    assert (end.result, end.outcome_evaluation_start_id) == ("interrupted", "")
    assert evaluations(sdk, session)[0].result == "interrupted"


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grader falls silent."""
    asked = [{"type": "text", "text": "[words 9][stall 5]"}]
    monkeypatch.setattr(outcome_judge, "question", lambda *_: asked)


@pytest.mark.usefixtures("stalled")
def test_an_interrupt_in_the_middle_of_a_grading_ends_it(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session(initial_events=[outcome()]).id
    eventually(lambda: len(model.requests) == 2, "the grader is asked")
    assert evaluations(sdk, session)[0].result == "evaluating"
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session)
    assert types(sdk, session)[-7:] == [START, ONGOING, END, "user.interrupt", *IDLE]
    (start,), (end,) = events(sdk, session, START), events(sdk, session, END)
    assert (end.result, end.outcome_evaluation_start_id) == ("interrupted", start.id)


@pytest.mark.usefixtures("stalled")
def test_a_process_that_dies_in_the_middle_of_a_grading_ends_it_in_words(
    sdk: Sdk, new_session: SessionMaker, server: Server, model: OfflineServer
) -> None:
    session = new_session(initial_events=[outcome()]).id
    eventually(lambda: len(model.requests) == 2, "the grader is asked")
    run = server.store.runs.live_run(number_of(session))
    assert run is not None
    server.control.release(run.id, by="an operator", reason="its process is dead")
    until_idle(sdk, session)
    assert types(sdk, session)[-7:] == [START, ONGOING, END, "session.error", *IDLE]
    (start,), (end,) = events(sdk, session, START), events(sdk, session, END)
    assert (end.result, end.outcome_evaluation_start_id) == ("failed", start.id)
    assert "its process is dead" in end.explanation
    assert evaluations(sdk, session)[0].result == "failed"


def test_a_session_at_its_budget_grades_when_it_goes_on(sdk: Sdk, grader: Grader) -> None:
    grader("satisfied")
    session = dear_session(sdk, limit("1")).id
    sdk.beta.sessions.events.send(session, events=[outcome("[words 400]")])
    until_idle(sdk, session)
    assert reasons(sdk, session) == ["budget_reached"]
    assert evaluations(sdk, session)[0].result == "running"
    sdk.beta.sessions.update(session, budget=limit("1000"))
    until_idle(sdk, session, times=2)
    assert types(sdk, session)[-6:] == [START, ONGOING, END, *IDLE]
    assert evaluations(sdk, session)[0].result == "satisfied"


def test_an_outcome_outlasts_a_call_that_waits_and_a_restart(
    sdk: Sdk, server: Server, grader: Grader
) -> None:
    grader("satisfied")
    said = call("bash", command="echo ran") + "[then][say Done.]"
    session = started(sdk, "[say Hello.]", default_config={"permission_policy": ASK}).id
    until_idle(sdk, session)
    sdk.beta.sessions.events.send(session, events=[outcome(said)])
    (use,) = waiting(sdk, session, times=2)
    confirmed: Any = {"type": "user.tool_confirmation", "tool_use_id": use, "result": "allow"}
    sdk.beta.sessions.events.send(session, events=[confirmed])
    until_idle(sdk, session, times=3)
    assert types(sdk, session)[-6:] == [START, ONGOING, END, *IDLE]
    assert evaluations(sdk, session)[0].result == "satisfied"


def test_an_archive_ends_what_waits(sdk: Sdk, new_session: SessionMaker, server: Server) -> None:
    session = new_session().id
    begin = server.runtime.manager.start_queued
    server.runtime.manager.start_queued = lambda *_: False  # type: ignore[method-assign]
    sdk.beta.sessions.events.send(session, events=[outcome()])
    server.runtime.manager.start_queued = begin  # type: ignore[method-assign]
    assert evaluations(sdk, session)[0].result == "pending"
    sdk.beta.sessions.archive(session)
    assert evaluations(sdk, session)[0].result == "interrupted"
    assert server.store.outcomes.active(number_of(session)) is None


def test_what_is_no_outcome_is_refused(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session().id
    file = {"type": "file", "file_id": "file_1"}
    refused: list[tuple[Any, str]] = [
        ([outcome(max_iterations=0)], r"events\[0\].max_iterations"),
        ([outcome(max_iterations=21)], r"events\[0\].max_iterations"),
        ([outcome(max_iterations="3")], r"events\[0\].max_iterations"),
        ([outcome(max_iterations=True)], r"events\[0\].max_iterations"),
        ([outcome("")], r"events\[0\].description"),
        ([outcome("  ")], r"events\[0\].description"),
        ([outcome(rubric="")], r"events\[0\].rubric.content"),
        ([outcome(rubric="a" * 262_145)], r"events\[0\].rubric.content"),
        ([{**outcome(), "rubric": file}], "rubrics of the type file are not supported"),
        ([{**outcome(), "rubric": {"type": "web"}}], r"events\[0\].rubric.type"),
        ([{**outcome(), "rubric": "short"}], r"events\[0\].rubric"),
        ([{**outcome(), "outcome_id": "outc_1"}], "unknown field"),
        ([{"type": DEFINE, "description": "a"}], "rubric: field is required"),
        ([outcome(), outcome()], "one outcome at a time"),
    ]
    for given, words in refused:
        with pytest.raises(anthropic.BadRequestError, match=words):
            sdk.beta.sessions.events.send(session, events=given)
    with pytest.raises(anthropic.BadRequestError, match=r"initial_events: at most one user.define_outcome"):
        new_session(initial_events=[outcome(), outcome()])
    assert types(sdk, session) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"result": "satisfied", "explanation": " Good. "}', Verdict("satisfied", "Good.")),
        ('Well.\n```json\n{"result": "needs_revision"}\n```', Verdict("needs_revision", "")),
        ('{"result": "maybe"} failed', Verdict("failed", '{"result": "maybe"} failed')),
        ("The work is satisfied.", Verdict("satisfied", "The work is satisfied.")),
        ("unsatisfied", None),
        ("{" * 10_000, None),
        ("", None),
    ],
)
def test_a_verdict_is_read_from_whatever_a_grader_writes(text: str, verdict: Verdict | None) -> None:
    assert read_verdict(text) == verdict


def test_a_message_beside_it_is_answered_first(sdk: Sdk, new_session: SessionMaker, grader: Grader) -> None:
    grader("satisfied")
    session = new_session(initial_events=[say("[say Hello.]"), outcome()]).id
    until_idle(sdk, session)
    first = ["user.message", *REQUEST]
    assert types(sdk, session) == [*AROUND, *first, DEFINE, *REQUEST, START, ONGOING, END, *IDLE]
