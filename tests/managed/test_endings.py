"""How a turn ends that does not end well, and what comes while it is under way."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.beta.sessions import BetaManagedAgentsSessionErrorEvent

from anthropic_standin.standin_server import OfflineServer
from app.conversation.managed_events import ending_body, error_body
from app.conversation.run_outcome import DIED, FAILED, RunOutcome
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.sdk_shapes import complaints
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, until_idle

UNANSWERED = ["span.model_request_start", "span.model_request_end", "session.error"]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """One server is enough for all tests here; its threads end with it."""


def told(sdk: Sdk, session: str) -> list[Any]:
    """The session's events, which are of the SDK's types."""
    listed = sdk.beta.sessions.events.list(session)
    assert list(complaints(sdk.sent, type(listed))) == []
    return list(sdk.sent["data"])


def said(sdk: Sdk, session: str, text: str) -> list[Any]:
    sdk.beta.sessions.events.send(session, events=[say(text)])
    until_idle(sdk, session)
    return told(sdk, session)


def test_a_failure_has_its_type_and_the_session_goes_on(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session().id
    events = said(sdk, session, "[words 9][error overloaded_error 5]")
    assert [event["type"] for event in events][-4:] == ["session.error", *IDLE]
    error = events[-4]["error"]
    assert (error["type"], error["retry_status"]) == ("model_overloaded_error", {"type": "exhausted"})
    assert events[-1]["stop_reason"] == {"type": "retries_exhausted"}
    assert said_again(sdk, session)[-1]["stop_reason"] == {"type": "end_turn"}


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (RunOutcome("failed", "model_failed", "no", {"status": 529}), "model_overloaded_error"),
        (RunOutcome("failed", "model_failed", "no", {"status": 503}), "model_overloaded_error"),
        (RunOutcome("failed", "model_failed", "no", {"status": 429}), "model_rate_limited_error"),
        (RunOutcome("failed", "model_failed", "no", {"status": 402}), "billing_error"),
        (RunOutcome("failed", "model_failed", "no", {"status": 500}), "model_request_failed_error"),
        (RunOutcome("failed", "model_failed", "no", {"status": None}), "model_request_failed_error"),
        (RunOutcome("failed", "context_full", "no"), "compaction_limit_reached_error"),
        (RunOutcome("failed", "calls_repeated", "no"), "tool_use_limit_reached_error"),
        (RunOutcome("failed", "budget_reached", "no"), "billing_error"),
        (RunOutcome("failed", "session_full", "no"), "unknown_error"),
        (FAILED, "unknown_error"),
        (DIED, "unknown_error"),
    ],
)
def test_each_failure_has_a_type(outcome: RunOutcome, kind: str) -> None:
    event = {"id": "sevt_1", "type": "session.error", "processed_at": "2026-01-01T00:00:00Z"}
    body = error_body(outcome)
    assert body["error"]["type"] == kind
    assert list(complaints({**event, **body}, BetaManagedAgentsSessionErrorEvent)) == []
    assert ending_body(outcome)["stop_reason"] == {"type": "retries_exhausted"}


def said_again(sdk: Sdk, session: str) -> list[Any]:
    sdk.beta.sessions.events.send(session, events=[say("[calm] [say Here again.]")])
    until_idle(sdk, session, times=2)
    return told(sdk, session)


def test_a_request_that_is_made_again_is_told_as_retrying(sdk: Sdk, new_session: SessionMaker) -> None:
    events = said(sdk, new_session().id, "[say Hello.][fail 529 1]")
    kinds = [event["type"] for event in events]
    start, message, end = REQUEST
    rescheduled = ["session.error", "session.status_rescheduled", "session.thread_status_rescheduled"]
    assert kinds == [*AROUND, "user.message", start, *rescheduled, *AROUND, message, end, *IDLE]
    error = events[4]["error"]
    assert (error["type"], error["retry_status"]) == ("model_overloaded_error", {"type": "retrying"})
    assert events[-1]["stop_reason"] == {"type": "end_turn"}


def test_a_session_waits_to_ask_its_model_again(sdk: Sdk, new_session: SessionMaker) -> None:
    session = new_session(initial_events=[say("[say Hello.][fail 500 1 retry-after 60]")]).id
    eventually(lambda: sdk.beta.sessions.retrieve(session).status == "rescheduling", "the session waits")
    for statuses, found in ((["rescheduling"], [session]), (["running"], [])):
        assert [one.id for one in sdk.beta.sessions.list(statuses=statuses)] == found  # type: ignore[arg-type]
    (thread,) = sdk.checked(sdk.beta.sessions.threads.list(session)).data
    assert thread.status == "rescheduling"
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session)
    assert sdk.beta.sessions.retrieve(session).status == "idle"


def test_a_request_without_an_answer_has_an_end(sdk: Sdk, new_session: SessionMaker) -> None:
    events = said(sdk, new_session().id, "[fail 400]")
    assert [event["type"] for event in events] == [*AROUND, "user.message", *UNANSWERED, *IDLE]
    start, end = events[3], events[4]
    assert (end["model_request_start_id"], end["is_error"]) == (start["id"], True)


def test_a_refusal_is_a_stop_reason_and_no_error(sdk: Sdk, new_session: SessionMaker) -> None:
    events = said(sdk, new_session().id, "[say Well][refuse]")
    assert "session.error" not in [event["type"] for event in events]
    thread, _, idle = events[-3:]
    for one in (thread, idle):
        assert one["stop_reason"] == {"type": "refusal"}
        assert one["stop_details"]["type"] == "refusal"
        assert one["stop_details"]["explanation"] == "The stand-in was told to refuse."


def test_an_interrupt_stands_right_before_the_end(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session().id
    sdk.beta.sessions.events.send(session, events=[say("[words 9][stall 5]")])
    eventually(lambda: model.requests, "the model is asked")
    sdk.beta.sessions.update(session, title="Changed meanwhile")
    sent = sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session)
    events = told(sdk, session)
    assert [event["type"] for event in events][-5:] == ["session.updated", "user.interrupt", *IDLE]
    assert sent.data is not None
    assert events[-4]["id"] == sent.data[0].id
    assert events[-1]["stop_reason"] == {"type": "end_turn"}
    ends = [event for event in events if event["type"] == "span.model_request_end"]
    assert [end["is_error"] for end in ends] == [True]
    assert "agent.message" not in [event["type"] for event in events]


def test_a_change_has_its_place_at_the_next_safe_point(
    sdk: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    """Not at the end of the turn: a message that came with it is answered behind it."""
    session = new_session().id
    sdk.beta.sessions.events.send(session, events=[say("[words 9][hold 5 times 1]")])
    eventually(lambda: model.requests, "the model is asked")
    sdk.beta.sessions.update(session, metadata={"a": "b"})
    sdk.beta.sessions.events.send(session, events=[say("[calm][say Now this.]")])
    model.release()
    until_idle(sdk, session)
    kinds = [event["type"] for event in told(sdk, session)]
    first = ["user.message", *REQUEST]
    assert kinds == [*AROUND, *first, "session.updated", *first, *IDLE]
