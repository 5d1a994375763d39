"""What docker-agent's clients of both generations read of the same runs, at a server's door."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from app.web.wire_generation import Generation, set_generation
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.wire import Event
from tests.test_sequences import PROMPT, call_text, of_type

LATER, MARCH = {"Baton-Wire": "later"}, {"Baton-Wire": "march-2026"}
THOUGHT = 'a "quoted" line\n' * 40
WRITES = call_text("think", thought=THOUGHT) + call_text("list_background_jobs") + "[then][say done]"


def events_of(local: LocalClient, session: str, headers: dict[str, str], since: int = 0) -> list[Event]:
    """What a reader is told of a run that has ended, from the event after that number on."""
    response = local.ask("GET", f"/api/sessions/{session}/events?since={since}", headers=headers)
    with LocalStream(response) as reader:
        reader.until("stream_stopped")
        return reader.events


def appended(events: Sequence[Event]) -> dict[str, str]:
    """The arguments of each call as a client has them that appends each piece to the last."""
    calls: dict[str, str] = defaultdict(str)
    for event in of_type(events, "partial_tool_call"):
        calls[event["tool_call"]["id"]] += event["tool_call"]["function"].get("arguments", "")
    return calls


def made(events: Sequence[Event]) -> dict[str, str]:
    return {
        event["tool_call"]["id"]: event["tool_call"]["function"]["arguments"]
        for event in of_type(events, "tool_call")
    }


def test_pieces_of_a_call_are_each_told_once_to_later_clients(local: LocalClient) -> None:
    with local.run(local.new_session(), WRITES, agent="tools") as stream:
        events = stream.rest()
    told, calls = appended(events), made(events)
    assert list(told) == list(calls)
    for call, text in told.items():
        assert calls[call].startswith(text)
    long, empty = told.values()
    assert len(long) > len(THOUGHT) / 2
    assert empty in ("", "{}")
    first, *others = [
        event
        for event in of_type(events, "partial_tool_call")
        if event["tool_call"]["id"] == next(iter(told))
    ]
    assert first["tool_definition"]["name"] == "think"
    assert len(others) > 2
    assert not any("tool_definition" in event for event in others)
    assert {event["tool_call"]["function"]["name"] for event in others} == {"think"}


def test_march_clients_read_the_text_so_far(local: LocalClient) -> None:
    with local.run(local.new_session(), WRITES, agent="tools", headers=MARCH) as stream:
        events = stream.rest()
    arguments = made(events)
    seen: dict[str, str] = defaultdict(str)
    for event in of_type(events, "partial_tool_call"):
        call = event["tool_call"]
        text = call["function"].get("arguments", "")
        assert arguments[call["id"]].startswith(text)
        assert text.startswith(seen[call["id"]])
        seen[call["id"]] = text
        assert event["tool_definition"]["name"] == call["function"]["name"]
        assert set(event) == {"type", "tool_call", "tool_definition", "agent_name", "timestamp"}
    assert max(map(len, seen.values())) > len(THOUGHT) / 2


def test_the_setting_counts_for_those_who_name_no_generation(local: LocalClient) -> None:
    session = local.new_session()
    set_generation(local.server.app, Generation.MARCH)
    try:
        with local.run(session, "[fail 403]") as stream:
            march = stream.rest()
    finally:
        set_generation(local.server.app, Generation.LATER)
    assert of_type(march, "error")[0]["code"] == "model_failed"
    [error] = of_type(events_of(local, session, {}), "error")
    assert (error["code"], error["run_code"]) == ("model_error", "model_failed")


def test_a_generation_that_there_is_not_is_refused_before_anything_begins(local: LocalClient) -> None:
    session = local.new_session()
    wrong = {"Baton-Wire": "april"}
    assert local.try_run(session, "[say hello]", headers=wrong).status_code == 422
    assert local.ask("GET", f"/api/sessions/{session}/events", headers=wrong).status_code == 422
    assert local.messages(session) == []
    assert local.call("GET", f"/api/runs?session={session}") == []


def test_a_reader_that_goes_on_in_the_middle_of_a_call_gets_the_rest_of_it(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, WRITES, agent="tools") as stream:
        whole = stream.rest()
        ids = dict(zip(map(id, whole), stream.ids, strict=True))
    third = of_type(whole, "partial_tool_call")[2]
    index = whole.index(third) + 1
    rest = events_of(local, session, LATER, since=ids[id(third)])
    assert rest == whole[index:]
    both = appended([*whole[:index], *rest])
    assert both == appended(whole)


def test_both_streams_of_a_run_name_the_same_ids_and_each_message_has_its_own(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "[think of it][say one two]" + WRITES, agent="tools") as stream:
        own = stream.rest()
    assert events_of(local, session, LATER) == own
    said = [event for event in own if event["type"] in ("agent_choice", "agent_choice_reasoning")]
    by_turn = [event["message_id"] for event in said]
    assert all(by_turn)
    [asked] = of_type(own, "user_message")
    assert asked["message_id"] not in by_turn
    turns: list[list[str]] = [[]]
    for event in own:
        if event["type"] in ("agent_choice", "agent_choice_reasoning"):
            turns[-1].append(event["message_id"])
        elif event["type"] == "message_added":
            turns.append([])
    spoken = [set(turn) for turn in turns if turn]
    assert [len(turn) for turn in spoken] == [1] * len(spoken)
    assert len(set.union(*spoken)) == len(spoken) == 2


def test_what_was_shown_and_not_stored_shares_its_id_with_nothing(local: LocalClient) -> None:
    session = local.new_session()
    events = [*local.say(session, "[refuse]"), *local.say(session, "[say hello]")]
    users = {event["message_id"] for event in of_type(events, "user_message")}
    shown = {event["message_id"] for event in of_type(events, "agent_choice")}
    assert len(users) == 2
    assert not users & shown


@pytest.mark.parametrize(
    ("text", "reason"), [("[say hello]", "normal"), ("[fail 403]", "error"), ("[refuse]", "error")]
)
def test_an_end_says_its_reason(local: LocalClient, text: str, reason: str) -> None:
    events = local.say(local.new_session(), text)
    assert events[-1]["reason"] == reason


def test_a_run_that_was_stopped_says_so_at_its_end(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, PROMPT, agent="tools") as stream:
        stream.until("elicitation_request")
        local.ask("POST", f"/api/sessions/{session}/cancel")
        assert stream.rest()[-1]["reason"] == "canceled"


def test_a_call_without_arguments_has_an_empty_object(local: LocalClient) -> None:
    session = local.new_session()
    with local.run(session, "[call list_background_jobs {}][then][say done]", agent="tools") as stream:
        events = stream.rest()
    for kind in ("tool_call", "tool_call_response"):
        assert of_type(events, kind)[0]["tool_call"]["function"] == {
            "name": "list_background_jobs",
            "arguments": "{}",
        }
    stored = [call for message in local.messages(session) for call in message.get("tool_calls", [])]
    assert [call["function"]["arguments"] for call in stored] == ["{}"]


def test_an_answer_counts_for_the_question_whose_id_it_names(local: LocalClient) -> None:
    session = local.new_session()
    path = f"/api/sessions/{session}/elicitation"
    with local.run(session, PROMPT, agent="tools") as stream:
        asked = stream.until("elicitation_request")["elicitation_id"]
        answer: dict[str, Any] = {"action": "accept", "content": {"answer": "blue"}}
        local.call("POST", path, {**answer, "elicitation_id": "another"}, expect=409)
        local.call("POST", path, {**answer, "elicitation_id": asked})
        assert json.loads(of_type(stream.rest(), "tool_call_response")[0]["response"])["action"] == "accept"


def test_a_queued_message_is_told_before_the_agent_begins(local: LocalClient) -> None:
    titled = local.new_session(title="t")
    first = local.say(titled, "[say one]")
    body = [{"role": "user", "content": "[say two]"}]
    last = local.call("GET", f"/api/sessions/{titled}/snapshot")["last_event_seq"]
    with local.follow(titled, since=last) as reader:
        [queued] = local.call("POST", f"/api/sessions/{titled}/followup", body, expect=202)["messages"]
        reader.until("stream_stopped")
    assert reader.types == [event["type"] for event in first]
    assert reader.types.index("user_message") == reader.types.index("stream_started") - 1
    [told] = of_type(reader.events, "user_message")
    assert (told["message"], told["message_id"]) == ("[say two]", queued["id"])


def test_health_tells_the_version(local: LocalClient) -> None:
    answer = local.call("GET", "/health")
    assert answer["status"] == "ok"
    assert answer["version"][0].isdigit()
