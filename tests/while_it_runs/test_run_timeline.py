"""A run from inside: its steps with their times and their cost, and its events as they are kept."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.store.event_condenser import FEWEST_EVENTS
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.conftest import Servers


def ran(client: LocalClient, text: str, **session: Any) -> str:
    """The id of a run that has ended."""
    session_id = client.new_session(**{"tools_approved": True, **session})
    client.say(session_id, text, agent="tools")
    client.wait_until_free(session_id)
    [run] = client.call("GET", f"/api/runs?session={session_id}")
    return str(run["id"])


def timeline(client: LocalClient, run: str) -> dict[str, Any]:
    return dict(client.call("GET", f"/api/runs/{run}/timeline"))


def test_each_model_call_and_each_tool_call_is_a_step(here: LocalClient, there: LocalClient) -> None:
    run = ran(here, '[say I look.][call shell {"cmd": "echo one"}][then][say done]')
    for client in (here, there):
        found = timeline(client, run)
        steps = [step for step in found["steps"] if step["kind"] != "event"]
        assert [step["kind"] for step in steps] == ["model", "tool", "model"]
        first, tool, last = steps
        assert (first["agent"], first["stop_reason"], last["stop_reason"]) == ("root", "tool_use", "end_turn")
        assert 0 <= first["first_seconds"] <= first["seconds"]
        assert first["retries"] == 0
        assert "estimated" not in first
        assert (tool["tool"], tool["state"]) == ("shell", "completed")
        assert tool["seconds"] >= 0
        assert first["ended_at"] <= tool["began_at"] <= tool["ended_at"] <= last["ended_at"]
        totals = found["totals"]
        assert (totals["model_calls"], totals["tool_calls"]) == (2, 1)
        for name in ("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens"):
            assert totals[name] == first[name] + last[name]
        assert totals["cost"] == pytest.approx(first["cost"] + last["cost"])
        assert totals["cost"] > 0
        assert found["events"] == "all"


def test_the_cache_share_is_that_of_what_the_model_read(here: LocalClient) -> None:
    run = ran(here, '[call shell {"cmd": "echo one"}][then][say done]')
    for step in timeline(here, run)["steps"]:
        if step["kind"] == "model":
            read = step["input_tokens"] + step["cached_input_tokens"] + step["cached_write_tokens"]
            assert step["cache_share"] == pytest.approx(step["cached_input_tokens"] / read, abs=0.001)


def test_a_call_tells_how_long_a_person_let_it_wait_and_who_decided(here: LocalClient) -> None:
    session = here.new_session()
    with here.run(session, '[call shell {"cmd": "echo one"}][then][say done]', agent="tools") as stream:
        stream.until("tool_call_confirmation")
        [run] = here.call("GET", f"/api/runs?session={session}")
        waiting = [step for step in timeline(here, run["id"])["steps"] if step["kind"] == "tool"]
        assert [(one["state"], "began_at" in one) for one in waiting] == [("awaiting_approval", False)]
        here.resume(session, "approve")
        stream.rest()
    [tool] = [step for step in timeline(here, run["id"])["steps"] if step["kind"] == "tool"]
    assert (tool["decision"], tool["state"]) == ("approve", "completed")
    assert tool["decided_by"]
    assert tool["waited"] >= 0


def test_a_run_at_work_shows_what_it_is_at(here: LocalClient, there: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        [run] = there.call("GET", f"/api/runs?session={session}")
        [tool] = [step for step in timeline(there, run["id"])["steps"] if step["kind"] == "tool"]
        assert (tool["state"], "ended_at" in tool) == ("running", False)
        gate.open()
        stream.rest()


def test_a_failed_attempt_is_counted(here: LocalClient) -> None:
    run = ran(here, "[fail 500 1][say done]")
    models = [step for step in timeline(here, run)["steps"] if step["kind"] == "model"]
    assert [step["retries"] for step in models] == [1]


def test_without_events_the_times_within_model_calls_are_estimated(
    servers: Servers, here: LocalClient
) -> None:
    run = ran(here, '[call shell {"cmd": "echo one"}][then][say done]')
    with servers[0].store.database.writing() as connection:
        connection.exec_driver_sql(f"DELETE FROM event_segments WHERE run_id = '{run}'")
    found = timeline(here, run)
    assert found["events"] == "none"
    models = [step for step in found["steps"] if step["kind"] == "model"]
    assert all(step["estimated"] for step in models)
    assert all(step["seconds"] >= 0 for step in models)
    assert found["totals"]["cost"] > 0


def test_what_is_left_after_condensing_still_has_the_times(servers: Servers, here: LocalClient) -> None:
    words = " ".join(str(number) for number in range(FEWEST_EVENTS * 2))
    run = ran(here, f"[say {words}]")
    before = timeline(here, run)
    for server in servers:
        server.store.condenser.condense(ended_for=0)
    after = timeline(here, run)
    assert after["steps"] == before["steps"]
    page = here.call("GET", f"/api/runs/{run}/events")
    texts = [one["event"]["content"] for one in page["events"] if one["event"]["type"] == "agent_choice"]
    assert "".join(texts) == words


def test_raw_events_come_in_pages(here: LocalClient, there: LocalClient) -> None:
    run = ran(here, "[say one two three four five]")
    whole = there.call("GET", f"/api/runs/{run}/events")
    assert whole["next"] is None
    assert [one["event"]["type"] for one in whole["events"]][-1] == "stream_stopped"
    found, after = [], 0
    while True:
        page = here.call("GET", f"/api/runs/{run}/events?after={after}&limit=3")
        assert len(page["events"]) <= 3
        found += page["events"]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == whole["events"]
    [timing] = [one["event"]["timing"] for one in found if one["event"]["type"] == "token_usage"]
    assert set(timing) == {"message_id", "seconds", "first_seconds", "retries"}


def test_other_runs_of_the_session_are_not_in_it(here: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    for text in ("[say first]", "[say second]"):
        here.say(session, text, agent="tools")
        here.wait_until_free(session)
    for run in here.call("GET", f"/api/runs?session={session}"):
        assert len([step for step in timeline(here, run["id"])["steps"] if step["kind"] == "model"]) == 1
    assert here.call("GET", "/api/runs/nothing/timeline", expect=404)["code"] == "unknown_run"
    assert here.call("GET", "/api/runs/nothing/events", expect=404)["code"] == "unknown_run"


def test_the_request_that_a_model_answered_is_made_again(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    first = len(model.requests)
    run = ran(here, '[say I look.][call shell {"cmd": "echo one"}][then][say done]')
    sent = model.requests[first:]
    positions = [step["position"] for step in timeline(here, run)["steps"] if step["kind"] == "model"]
    for position, body in zip(positions, sent, strict=True):
        found = there.call("GET", f"/api/runs/{run}/request?position={position}")
        assert (found["made"], found["has_options"], found["masked"], found["shortened"]) == (
            *("rebuilt", True),
            *(False, False),
        )
        assert found["request"] == {name: value for name, value in body.items() if name != "stream"}
    assert there.call("GET", f"/api/runs/{run}/request") == found
    for wrong in ("position=0", "position=99", "session=other"):
        assert here.call("GET", f"/api/runs/{run}/request?{wrong}", expect=404)["code"] == "unknown_message"


def test_a_secret_in_a_request_is_masked(here: LocalClient) -> None:
    secret = "ghp_" + "aB3" * 12
    run = ran(here, f"My token is {secret}. [say thanks]")
    found = here.call("GET", f"/api/runs/{run}/request")
    assert found["masked"]
    assert secret not in str(found)


def test_requests_before_and_after_a_summary_are_made_again(here: LocalClient, model: OfflineServer) -> None:
    session = here.new_session()
    sent = {}
    for words in ("first", "second", "third"):
        if words == "third":
            here.call("POST", f"/api/sessions/{session}/compact", {}, expect=202)
            here.wait_until_free(session)
            [compacting] = here.call("GET", f"/api/runs?session={session}")[:1]
            steps = timeline(here, compacting["id"])["steps"]
            assert [step["kind"] for step in steps if step["kind"] != "event"] == ["compaction"]
        here.say(session, f"[say {words}]", agent="tools")
        here.wait_until_free(session)
        [run] = here.call("GET", f"/api/runs?session={session}")[:1]
        sent[run["id"]] = model.requests[-1]
    for run_id, body in sent.items():
        found = here.call("GET", f"/api/runs/{run_id}/request")["request"]
        assert found == {name: value for name, value in body.items() if name != "stream"}
