"""F31, F32, F33: a message for a run at work enters once, in order, at the next safe point, or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

from anthropic_standin.standin_server import OfflineServer
from app.conversation.queued_message import CAPACITY
from app.factory import Server
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.while_it_runs.talk import body, confirmed, follow_up, queue, roles, said_by_user, steer

THINK = f"[call think {json.dumps({'thought': 'well'})}]"
DONE = "[then][say done]"


def test_a_steer_is_answered_with_what_was_queued(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        answer = local.call("POST", f"/api/sessions/{session}/steer", body("left"), expect=202)
        gate.open()
        stream.rest()
    [message] = answer["messages"]
    assert answer["status"] == "queued"
    assert (message["kind"], message["content"]) == ("steer", "left")
    assert message.keys() >= {"id", "created_at", "created_by"}


def test_f31_a_steer_during_parallel_calls_lies_after_all_their_results(
    here: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{THINK}{gate.call}{THINK}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        ids = steer(here, session, "left", "no, right") + steer(here, session, "straight on")
        gate.open()
        events = stream.rest()
    assert roles(here, session) == [
        "user", "assistant", "tool", "tool", "tool", "user", "user", "user", "assistant"
    ]  # fmt: skip
    assert said_by_user(here, session)[1:] == ["left", "no, right", "straight on"]
    assert confirmed(events, ids) == ids
    positions = [event["session_position"] for event in events if event.get("message_id") in ids]
    assert positions == [5, 6, 7]


def test_a_steer_from_another_process_enters_just_so(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{THINK}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        ids = steer(there, session, "left")
        gate.open()
        assert confirmed(stream.rest(), ids) == ids
    assert roles(there, session) == ["user", "assistant", "tool", "tool", "user", "assistant"]


def test_a_steer_during_the_last_words_is_answered_in_the_same_run(
    local: LocalClient, model: OfflineServer
) -> None:
    session = local.new_session()
    with local.run(session, "[words 20][hold 3]") as stream:
        stream.until("agent_choice")
        ids = steer(local, session, "[say and more]")
        model.release()
        events = stream.rest()
    assert stream.types.count("stream_stopped") == 1
    assert confirmed(events, ids) == ids
    assert roles(local, session) == ["user", "assistant", "user", "assistant"]
    assert local.messages(session)[-1]["content"] == "and more"


def test_the_model_reads_a_steer_in_the_very_next_call(
    local: LocalClient, model: OfflineServer, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{THINK}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        steer(local, session, "turn left at the mill")
        gate.open()
        stream.rest()
    heard = ["turn left at the mill" in json.dumps(request["messages"]) for request in model.requests]
    assert heard == [False, True]


def test_f32_an_idle_session_refuses_a_steer_and_keeps_nothing(local: LocalClient) -> None:
    session = local.new_session()
    for _ in range(2):
        refusal = local.call("POST", f"/api/sessions/{session}/steer", body("left"), expect=409)
        assert refusal["code"] == "not_running"
        assert refusal["message"] == "failed to steer session: session not found or not running"
        assert queue(local, session) == []
        local.say(session, "[say hello]")
    assert "left" not in said_by_user(local, session)


def test_f32_a_steer_to_a_session_that_is_stopping_is_still_in_the_queue_afterwards(
    local: LocalClient, server: Server, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        steer(local, session, "left")
        local.stop(session)
        stream.rest()
    assert queue(local, session) == ["left"]
    assert said_by_user(local, session)[1:] == []
    local.say(session, "[say hello]", agent="tools")
    assert queue(local, session) == []
    assert said_by_user(local, session)[1:].count("left") == 1


def test_what_was_queued_survives_a_failed_run_and_enters_the_next_one_once(
    local: LocalClient, gate: Gate
) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call}[then][fail 400][say no]", agent="tools") as stream:
        gate.wait_until_reached()
        follow_up(local, session, "later")
        gate.open()
        stream.until("error")
        stream.rest()
    assert queue(local, session) == ["later"]
    local.say(session, "[say hello]", agent="tools")
    assert queue(local, session) == []
    assert said_by_user(local, session)[-1] == "later"


def test_no_message_at_all_is_refused(local: LocalClient) -> None:
    session = local.new_session()
    for route in ("steer", "followup"):
        refusal = local.call("POST", f"/api/sessions/{session}/{route}", {"messages": []}, expect=422)
        assert refusal["message"] == "at least one message is required"


def test_an_unknown_session_takes_nothing(local: LocalClient) -> None:
    for route in ("steer", "followup"):
        refusal = local.call("POST", f"/api/sessions/nobody/{route}", body("left"), expect=404)
        assert refusal["code"] == "unknown_session"
    local.call("GET", "/api/sessions/nobody/queue", expect=404)


def test_f33_a_batch_that_does_not_fit_leaves_nothing_behind(here: LocalClient, gate: Gate) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        steer(here, session, *(f"word {number}" for number in range(CAPACITY - 1)))
        refusal = here.ask("POST", f"/api/sessions/{session}/steer", body("one", "two"))
        assert refusal.status_code == 429
        assert refusal.headers["Retry-After"] == "1"
        assert refusal.get_json()["code"] == "queue_full"
        assert len(queue(here, session)) == CAPACITY - 1
        steer(here, session, "one")
        depths = here.call("GET", f"/api/sessions/{session}/queue")
        assert depths["steer"] == {"depth": CAPACITY, "capacity": CAPACITY}
        assert depths["followup"] == {"depth": 0, "capacity": CAPACITY}
        follow_up(here, session, "another queue has room")
        gate.open()
        stream.rest()
    said = said_by_user(here, session)[1:]
    assert said == [*(f"word {number}" for number in range(CAPACITY - 1)), "one", "another queue has room"]


def test_what_waits_can_be_edited_and_withdrawn_until_it_is_taken(
    here: LocalClient, there: LocalClient, make_gate: Callable[[], Gate]
) -> None:
    session = here.new_session(tools_approved=True)
    first, second = make_gate(), make_gate()
    with here.run(session, f"{first.call}{DONE}", agent="tools") as stream:
        first.wait_until_reached()
        taken, edited, withdrawn = steer(here, session, f"{second.call}{DONE}", "two", "three")
        place = f"/api/sessions/{session}/queue"
        answer = there.call("PATCH", f"{place}/{edited}", body("zwei"))
        assert (answer["id"], answer["content"]) == (edited, "zwei")
        there.call("DELETE", f"{place}/{withdrawn}")
        there.call("DELETE", f"{place}/{withdrawn}", expect=404)
        first.open()
        second.wait_until_reached()
        for method, sent in (("PATCH", body("uno")), ("DELETE", None)):
            refusal = there.call(method, f"{place}/{taken}", sent, expect=409)
            assert (refusal["code"], refusal["position"]) == ("taken_already", 3)
        second.open()
        stream.rest()
    assert said_by_user(here, session)[2:] == ["zwei"]
