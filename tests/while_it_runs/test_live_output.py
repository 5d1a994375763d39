"""A command's output reaches readers while it runs, and is stored once: as its result."""

from __future__ import annotations

import json
from collections.abc import Callable

from app.agent.live_output import LEFT_OUT, MOST_BYTES
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import Event


def call(command: str) -> str:
    return f"[call shell {json.dumps({'cmd': command})}]"


def outputs(events: list[Event], call_id: str | None = None) -> str:
    return "".join(
        event["output"]
        for event in events
        if event["type"] == "tool_call_output" and call_id in (None, event["tool_call_id"])
    )


def stored_events(client: LocalClient, session: str) -> str:
    return b"".join(segment.facts for segment in client.server.store.events.read(session, 0)).decode()


def test_output_comes_while_the_command_runs(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call_behind('echo café')}[then][say done]", agent="tools") as stream:
        started = stream.until("tool_call")
        event = stream.until("tool_call_output")
        gate.wait_until_reached()  # it still runs
        assert event == {
            "type": "tool_call_output",
            "tool_call_id": started["tool_call"]["id"],
            "tool_definition": started["tool_definition"],
            "output": "café\n",
            "agent_name": "root",
            "timestamp": event["timestamp"],
        }
        gate.open("late words")
        stream.rest()
    assert outputs(stream.events) == "café\nlate words"
    response = next(event for event in stream.events if event["type"] == "tool_call_response")
    assert response["response"] == "café\nlate words"


def test_what_comes_soon_after_another_piece_is_shown_though_nothing_follows(
    local: LocalClient, make_gate: Callable[[], Gate]
) -> None:
    first, second = make_gate(), make_gate()
    session = local.new_session(tools_approved=True)
    command = second.call_behind(f"echo one; {first.command}")
    with local.run(session, f"{command}[then][say done]", agent="tools") as stream:
        assert stream.until("tool_call_output")["output"] == "one\n"
        first.open("two")
        assert stream.until("tool_call_output")["output"] == "two"
        second.open("")
        stream.rest()


def test_a_flood_is_bounded_and_not_stored(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session(tools_approved=True)
    flood = "yes flooding | head -c 50000000"
    with here.run(session, f"{call(flood)}[then][say done]", agent="tools") as stream:
        stream.rest()
    shown = outputs(stream.events)
    assert shown == ("flooding\n" * MOST_BYTES)[:MOST_BYTES] + LEFT_OUT
    stored = stored_events(here, session)
    in_result = json.dumps(next(e for e in stream.events if e["type"] == "tool_call_response"))
    assert stored.count("flooding") == in_result.count("flooding") + 2, "and in the call, twice"
    with there.follow(session, since=0) as replay:
        replay.until("stream_stopped")
    assert replay.ids == stream.ids
    assert outputs(replay.events) == ""
    plain = [event for event in stream.events if event["type"] != "tool_call_output"]
    assert [event for event in replay.events if event["type"] != "tool_call_output"] == plain


def test_a_reader_that_comes_later_has_the_output_so_far(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{gate.call_behind('echo early')}[then][say done]", agent="tools") as stream:
        stream.until("tool_call_output")
        body = local.call("GET", f"/api/sessions/{session}/snapshot")
        with local.follow(session, since=body["last_event_seq"]) as reader:
            assert reader.until("tool_call_output")["output"] == "early\n"
            gate.open("end")
            reader.until("stream_stopped")
            assert outputs(reader.events) == "early\nend"
        stream.rest()


def test_a_cancelled_command_shows_nothing_after_its_result(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    command = gate.call_behind("trap 'echo tidied; exit' TERM; echo before")
    with local.run(session, command, agent="tools") as stream:
        stream.until("tool_call_output")
        gate.wait_until_reached()
        local.call("POST", f"/api/sessions/{session}/cancel", expect=202)
        stream.rest()
    kinds = [kind for kind in stream.types if kind.startswith("tool_call")]
    assert kinds[-1] == "tool_call_response"
    assert outputs(stream.events).startswith("before\n")


def test_each_call_of_a_turn_has_its_own_output(local: LocalClient, make_gate: Callable[[], Gate]) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(session, f"{call('echo a')}{call('echo b')}[then][say done]", agent="tools") as stream:
        stream.rest()
    ids = [event["tool_call"]["id"] for event in stream.events if event["type"] == "tool_call"]
    assert [outputs(stream.events, call_id) for call_id in ids] == ["a\n", "b\n"]


def test_the_log_keeps_unwritten_output_only_as_long_as_it_must(local: LocalClient, gate: Gate) -> None:
    session = local.new_session(tools_approved=True)
    with local.run(
        session, f"{gate.call_behind('echo shown at once')}[then][say done]", agent="tools"
    ) as stream:
        stream.until("tool_call_output")
        eventually(lambda: '"tool_call_output"' in stored_events(local, session), "its number is stored")
        assert '"output":"shown' not in stored_events(local, session)
        gate.open("")
        stream.rest()
