"""A conversation is summed up when somebody asks for it, by a run of its own: one writer, as ever."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent import summarizer
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import follow_up, roles, said_by_user

STORY = ("[say one]", "[say two]", "[say three]")


def compact(client: LocalClient, session: str, body: Any = None) -> str:
    """The id of the run."""
    response = client.ask("POST", f"/api/sessions/{session}/compact", body or {})
    assert (response.status_code, response.get_data()) == (202, b"")
    assert response.headers["Location"] == f"/api/runs/{response.headers['X-Run-ID']}"
    return response.headers["X-Run-ID"]


def run_once_ended(client: LocalClient, session: str, run: str) -> dict[str, Any]:
    response = client.ask("POST", f"/api/sessions/{session}/turns/{run}/wait")
    assert response.status_code == 204
    return dict(client.call("GET", f"/api/runs/{run}"))


def told(client: LocalClient, session: str, since: int) -> list[dict[str, Any]]:
    """The events since then, up to the end of a run."""
    with client.follow(session, since=since) as stream:
        stream.until("stream_stopped")
        return stream.events


def last_event(client: LocalClient, session: str) -> int:
    return int(client.call("GET", f"/api/sessions/{session}/snapshot")["last_event_seq"])


def talked(client: LocalClient) -> str:
    """A session in which something has been said."""
    session = client.new_session()
    for text in STORY:
        client.say(session, text)
    return session


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summarizer, "ASSIGNMENT", "[say the summary]")


@pytest.mark.usefixtures("summary")
def test_the_model_is_shown_the_summary_from_then_on(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = talked(here)
    cost, since, seen = (
        here.server.store.sessions.get(session).cost,
        last_event(here, session),
        len(model.requests),
    )
    run = run_once_ended(there, session, compact(there, session, {"additional_prompt": "Mind the numbers."}))
    assert (run["status"], run["compacts"], run["agent"]) == ("finished", True, "plain/root")
    [asked] = model.requests[seen:]
    assert "Mind the numbers." in str(asked["messages"][-1])
    events = told(here, session, since)
    assert [event["type"] for event in events if event["type"] not in ("agent_info", "toolset_info")] == [
        *("stream_started", "session_compaction", "session_summary", "session_compaction"),
        *("token_usage", "stream_stopped"),
    ]
    assert [event["outcome"] for event in events if event.get("status") == "completed"] == ["applied"]
    assert here.server.store.sessions.get(session).cost > cost
    assert said_by_user(here, session) == list(STORY), "all of it is still there to be seen"
    here.say(session, "[say four]")
    shown = str(model.requests[-1]["messages"])
    assert "the summary" in shown
    assert "said: one" not in shown


@pytest.mark.usefixtures("model")
def test_where_there_is_nothing_to_sum_up_that_is_said(here: LocalClient) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/compact"
    assert here.call("POST", path, expect=409)["code"] == "nothing_to_compact"
    here.say(session, "[fail 400 1][say better now]")
    since = last_event(here, session)
    assert run_once_ended(here, session, compact(here, session))["status"] == "finished"
    assert [e["outcome"] for e in told(here, session, since) if e.get("status") == "completed"] == ["skipped"]
    retried = here.call("POST", f"/api/sessions/{session}/retry", expect=202)
    assert run_once_ended(here, session, retried["turn_id"])["status"] == "finished", "it was no turn"
    assert here.call("POST", "/api/sessions/nobody/compact", expect=404)["code"] == "unknown_session"
    here.call("POST", path, {"additional_prompt": "x" * 10_001}, expect=422)


def test_a_summary_that_can_t_be_made_ends_the_run_and_changes_nothing(
    here: LocalClient, monkeypatch: pytest.MonkeyPatch, model: OfflineServer
) -> None:
    session = talked(here)
    monkeypatch.setattr(summarizer, "ASSIGNMENT", "[fail 400]")
    since, before = last_event(here, session), here.messages(session)
    run = run_once_ended(here, session, compact(here, session))
    assert (run["status"], run["code"]) == ("failed", "compaction_failed")
    events = told(here, session, since)
    assert [event["type"] for event in events].count("error") == 1
    assert [event["outcome"] for event in events if event.get("status") == "completed"] == ["failed"]
    assert events[-1]["reason"] == "error"
    assert here.messages(session) == before
    here.say(session, "[say four]")
    assert len(model.requests[-1]["messages"]) == 2 * len(STORY) + 1
    assert here.call("POST", f"/api/sessions/{session}/retry", expect=409)["code"] == "nothing_to_retry"


@pytest.mark.usefixtures("summary")
def test_a_session_at_work_is_busy_and_one_that_is_summed_up_is_too(
    here: LocalClient, there: LocalClient, gate: Gate, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        for client in (here, there):
            refused = client.call("POST", f"/api/sessions/{session}/compact", expect=409)
            assert (refused["code"], refused["run"]["session_id"]) == ("session_busy", session)
        gate.open()
        stream.rest()
    here.say(session, "[say two]", agent="tools")
    monkeypatch.setattr(summarizer, "ASSIGNMENT", "[words 20][hold 5]")
    run = compact(here, session)
    assert model.wait_until(lambda stats: stats.open_streams > 0, 30.0)
    for client in (here, there):
        busy = client.try_run(session, "[say hello]", agent="tools")
        assert (busy.status_code, busy.get_json()["run"]["id"]) == (409, run)
        busy.close()
    follow_up(there, session, "[say and on]")
    model.release()
    assert run_once_ended(there, session, run)["status"] == "finished"
    here.wait_until_free(session)
    assert said_by_user(here, session)[-1] == "[say and on]", "what waited has its turn"


def test_a_stop_ends_it_and_the_conversation_stays(
    here: LocalClient, there: LocalClient, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = talked(here)
    monkeypatch.setattr(summarizer, "ASSIGNMENT", "[words 20][hold 5]")
    run = compact(here, session)
    assert model.wait_until(lambda stats: stats.open_streams > 0, 30.0)
    there.call("POST", f"/api/sessions/{session}/cancel", {"turn_id": run})
    assert run_once_ended(here, session, run)["status"] == "cancelled"
    assert here.server.store.sessions.get(session).compactions == 0
    assert roles(here, session) == ["user", "assistant"] * len(STORY)
    here.say(session, "[say free again]")
