"""Runs through the client: typed events, answers, refusals, and what leaving early does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from baton_client import (
    BatonClient,
    BatonError,
    ConflictError,
    FormEvent,
    MoreIterationsEvent,
    NotFoundError,
    RunFailedError,
    SessionBusyError,
    StoppedEvent,
    StreamEvent,
    TextEvent,
    ThinkingEvent,
    ToolApprovalEvent,
    ToolCallEvent,
    ToolResultEvent,
    UnavailableError,
    UserMessageEvent,
    event_of,
)
from tests.conftest import AGENTS
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, free_port

ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def process(directory: Path, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    """One server for all of these tests."""
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS) as one:
        yield one


@pytest.fixture
def baton(process: BatonProcess, model: OfflineServer) -> Iterator[BatonClient]:
    with BatonClient(process.url, retry_seconds=5) as one:
        yield one


@pytest.fixture
def session(baton: BatonClient) -> str:
    return str(baton.create_session()["id"])


@pytest.fixture
def gate(directory: Path) -> Iterator[Gate]:
    one = Gate(directory)
    yield one
    one.close()


def first(run: Iterator[StreamEvent], kind: type[StreamEvent]) -> StreamEvent:
    return next(event for event in run if isinstance(event, kind))


def statuses(baton: BatonClient, session: str) -> list[str]:
    return [run["status"] for run in baton.runs(session=session)]


def test_a_run_is_an_iterator_of_typed_events_that_ends_with_the_run(
    baton: BatonClient, session: str
) -> None:
    with baton.run(session, "[say hello there]", agent="plain") as run:
        events = list(run)
    assert "".join(event.text for event in events if isinstance(event, TextEvent)) == "hello there"
    assert [event.text for event in events if isinstance(event, UserMessageEvent)] == ["[say hello there]"]
    assert isinstance(events[-1], StoppedEvent)
    numbers = [event.id for event in events]
    assert numbers == list(range(1, len(events) + 1))
    assert run.ended
    assert baton.get_run(run.id)["status"] == "finished"


def test_text_returns_what_the_agent_said(baton: BatonClient, session: str) -> None:
    assert baton.run(session, "[say one two]", agent="plain").text() == "one two"


def test_text_raises_when_the_run_fails(baton: BatonClient, session: str) -> None:
    with pytest.raises(RunFailedError) as failure:
        baton.run(session, "[fail 403]", agent="plain").text()
    assert failure.value.code == "model_failed"


def test_a_call_is_approved_by_its_id_and_its_result_is_told(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        assert (asked.tool, asked.arguments) == ("shell", '{"cmd":"echo hands"}')
        run.approve(asked.call_id)
        rest = list(run)
    assert [event.call_id for event in rest if isinstance(event, ToolCallEvent)] == [asked.call_id]
    results = [event for event in rest if isinstance(event, ToolResultEvent)]
    assert [(one.call_id, one.failed) for one in results] == [(asked.call_id, False)]
    assert "hands" in results[0].response


def test_a_call_is_approved_with_other_arguments_than_the_models(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        with pytest.raises(BatonError, match="cmd must be a string") as refusal:
            run.approve(asked.call_id, arguments={"cmd": 7})
        run.approve(asked.call_id, arguments={"cmd": "echo feet"})
        results = [event for event in run if isinstance(event, ToolResultEvent)]
    assert refusal.value.status == 400
    assert results[0].response.endswith("\n\nfeet")


def test_a_rejected_call_tells_the_model_the_reason(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        run.reject(asked.call_id, reason="not on a Sunday")
        results = [event for event in run if isinstance(event, ToolResultEvent)]
    assert results[0].failed
    assert "not on a Sunday" in results[0].response


def test_an_approval_that_is_remembered_for_the_tool_is_asked_once(baton: BatonClient, session: str) -> None:
    twice = '[call shell {"cmd": "echo a"}][then][call shell {"cmd": "echo b"}][then][say done]'
    with baton.run(session, twice, agent="tools") as run:
        asked = []
        for event in run:
            if isinstance(event, ToolApprovalEvent):
                asked.append(event)
                run.approve(event.call_id, remember="tool")
    assert len(asked) == 1


def test_an_answer_that_comes_second_is_told_of_the_first(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        run.approve(asked.call_id)
        with pytest.raises(ConflictError) as refusal:
            baton.reject(session, asked.call_id)
        list(run)
    assert refusal.value.code == "answered_already"
    assert refusal.value.body["decision"] == "approve"


def test_a_form_is_filled_in(baton: BatonClient, session: str) -> None:
    question = '[call user_prompt {"message": "Which colour?"}][then][say thanks]'
    with baton.run(session, question, agent="tools") as run:
        asked = []
        for event in run:
            if isinstance(event, ToolApprovalEvent):
                run.approve(event.call_id)
            if isinstance(event, FormEvent):
                asked.append(event.text)
                run.elicit({"response": "blue"})
    assert asked == ["Which colour?"]
    assert any("blue" in str(item) for item in baton.session(session)["messages"])


def test_a_run_at_its_limit_goes_on_when_it_may(baton: BatonClient, session: str) -> None:
    rounds = '[call think {"thought": "a"}][then]' * 3 + "[say done]"
    with baton.run(session, rounds, agent="limited") as run:
        limits = 0
        for event in run:
            if isinstance(event, MoreIterationsEvent):
                limits += 1
                run.approve()
            elif isinstance(event, ToolApprovalEvent):
                run.approve(event.call_id)
    assert limits == 1


def test_a_busy_session_says_who_has_it(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        with pytest.raises(SessionBusyError) as busy:
            baton.run(session, "me too", agent="tools")
        run.approve(asked.call_id)
        list(run)
    assert busy.value.code == "awaiting_approval"
    assert busy.value.holder["id"] == run.id
    assert busy.value.holder["waiting_for"]["call_id"] == asked.call_id


def test_who_waits_gets_the_session_when_it_is_free(
    baton: BatonClient, session: str, process: BatonProcess
) -> None:
    with baton.run(session, "[words 5][hold 2 times 1]", agent="plain") as run:
        first(iter(run), TextEvent)
        with BatonClient(process.url) as other, pytest.raises(SessionBusyError):
            other.run(session, "[say me]", agent="plain", when_busy="wait", wait_seconds=0.2)
        with BatonClient(process.url) as other:
            taken = other.run(session, "[say me]", agent="plain", when_busy="interrupt")
            assert taken.text() == "me"
    assert statuses(baton, session) == ["finished", "cancelled"]


def test_leaving_early_stops_the_run(baton: BatonClient, session: str) -> None:
    with baton.run(session, "[words 2000][pace 50]", agent="plain") as run:
        first(iter(run), TextEvent)
    assert statuses(baton, session) == ["cancelled"]


def test_an_exception_in_the_middle_stops_the_run_and_passes(baton: BatonClient, session: str) -> None:
    def fail_in_the_middle() -> None:
        with baton.run(session, "[words 2000][pace 50]", agent="plain") as run:
            first(iter(run), TextEvent)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert statuses(baton, session) == ["cancelled"]


def test_leaving_early_stops_no_other_run_of_the_session(baton: BatonClient, session: str) -> None:
    with baton.run(session, "[say short]", agent="plain") as mine:
        first(iter(mine), TextEvent)
        theirs = baton.run(session, ECHO, agent="tools", when_busy="wait")
        first(iter(theirs), ToolApprovalEvent)
    assert statuses(baton, session) == ["awaiting_approval", "finished"]
    theirs.cancel()
    theirs.detach()


def test_a_run_that_is_detached_goes_on(baton: BatonClient, session: str) -> None:
    with baton.run(session, ECHO, agent="tools") as run:
        first(iter(run), ToolApprovalEvent)
        run.detach()
    assert statuses(baton, session) == ["awaiting_approval"]
    run.cancel()


def test_somebody_elses_run_is_watched_from_its_beginning(
    baton: BatonClient, session: str, process: BatonProcess
) -> None:
    with baton.run(session, ECHO, agent="tools") as run, BatonClient(process.url) as other:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        watcher = other.attach(run.id)
        run.approve(asked.call_id)
        list(run)
        seen = list(watcher)
    assert seen[0].id == 1
    assert [event.id for event in seen] == list(range(1, len(seen) + 1))
    assert isinstance(seen[-1], StoppedEvent)
    with pytest.raises(ConflictError, match="has ended"):
        baton.attach(run.id)


def test_a_steer_reaches_the_run_and_a_follow_up_waits(baton: BatonClient, session: str, gate: Gate) -> None:
    with pytest.raises(ConflictError):
        baton.steer(session, "nobody is there")
    with baton.run(session, f"{gate.call}[then][say done]", agent="tools") as run:
        asked = first(iter(run), ToolApprovalEvent)
        assert isinstance(asked, ToolApprovalEvent)
        run.approve(asked.call_id)
        gate.wait_until_reached()
        steer = run.steer("[say steered]")
        kept = baton.follow_up(session, "[say followed]")
        dropped = baton.follow_up(session, "[say dropped]")
        assert [one["id"] for one in baton.queue(session)] == [
            steer[0]["id"],
            kept[0]["id"],
            dropped[0]["id"],
        ]
        baton.withdraw(session, dropped[0]["id"])
        gate.open()
        events = list(run)
    said = "".join(event.text for event in events if isinstance(event, TextEvent))
    assert "steered" in said
    assert "followed" in said
    assert "dropped" not in said
    assert [
        event.message_id for event in events if isinstance(event, UserMessageEvent) and event.message_id
    ] == [
        steer[0]["id"],
        kept[0]["id"],
    ]
    assert baton.queue(session) == []


def test_a_run_is_released(baton: BatonClient, session: str) -> None:
    run = baton.run(session, ECHO, agent="tools")
    first(iter(run), ToolApprovalEvent)
    assert baton.release(run.id, "stuck")["status"] == "interrupted"
    run.detach()


def test_sessions_are_made_listed_named_and_deleted(baton: BatonClient) -> None:
    session = baton.create_session(max_iterations=3)
    baton.rename_session(session["id"], "A name")
    assert baton.session(session["id"])["title"] == "A name"
    assert session["id"] in [one["id"] for one in baton.sessions()]
    baton.delete_session(session["id"])
    with pytest.raises(NotFoundError) as refusal:
        baton.session(session["id"])
    assert refusal.value.code == "unknown_session"
    assert refusal.value.request_id


def test_a_precondition_refuses_what_was_said_without_knowing(baton: BatonClient, session: str) -> None:
    baton.run(session, "[say one]", agent="plain").text()
    with pytest.raises(ConflictError) as refusal:
        baton.run(session, "[say two]", agent="plain", if_last_position=-1)
    assert refusal.value.code == "stale"


def test_the_same_key_is_the_same_run(baton: BatonClient, session: str) -> None:
    runs = [baton.run(session, "[say once]", agent="plain", idempotency_key="k") for _ in range(2)]
    assert [run.text() for run in runs] == ["once", "once"]
    assert runs[0].id == runs[1].id
    assert len(baton.runs(session=session)) == 1


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="can't be reached"):
        BatonClient(f"http://127.0.0.1:{free_port()}", retry_seconds=0).sessions()


def test_another_kind_of_server_is_no_baton(stand_in: OfflineServer) -> None:
    with pytest.raises(BatonError):
        BatonClient(stand_in.url, retry_seconds=0).sessions()


@pytest.mark.parametrize(
    "data", [{}, {"type": "horoscope", "stars": 3}, {"type": "tool_call"}, {"type": "gap"}]
)
def test_whatever_comes_is_an_event(data: dict[str, object]) -> None:
    event = event_of(data, 7)
    assert event.type == data.get("type", "")
    assert event.data == data
    assert event.id == 7


def test_thinking_is_an_event_of_its_own() -> None:
    event = event_of({"type": "agent_choice_reasoning", "content": "hm", "agent_name": "root"})
    assert isinstance(event, ThinkingEvent)
    assert (event.text, event.agent, event.id) == ("hm", "root", None)


def test_a_run_that_is_attached_to_is_shown_without_the_runs_before_it(baton: BatonClient) -> None:
    session = baton.create_session()["id"]
    baton.run(session, "[say earlier]", agent="tools").text()
    begun = baton.run(session, '[call shell {"cmd": "echo hands"}][then][say later]', agent="tools")
    asked = next(event for event in begun if isinstance(event, ToolApprovalEvent))
    begun.detach()
    with baton.attach(begun.id) as attached:
        baton.approve(session, asked.call_id)
        assert attached.text() == "later"
