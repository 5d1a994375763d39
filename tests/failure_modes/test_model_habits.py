"""F25–F29: what models do that bricks the sessions of others: each time the next message is still accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, Event, text_of

THOUGHTS = ("thinking", "redacted_thinking")


def results_of(events: list[Event]) -> list[str]:
    return [event["response"] for event in events if event["type"] == "tool_call_response"]


def goes_on(client: Client, session: str) -> bool:
    return text_of(client.say(session, "[say and on]", agent="tools")) == "and on"


def last_request(model: OfflineServer) -> list[dict[str, Any]]:
    return list(model.requests[-1]["messages"])


@pytest.mark.parametrize("count", [2, 5, 8])
def test_f25_the_results_of_parallel_calls_stand_in_one_message_in_the_order_of_the_calls(
    client: Client, model: OfflineServer, count: int
) -> None:
    """The earlier a call stands, the longer it takes."""
    session = client.new_session(tools_approved=True)
    script = "".join(f'[call shell {{"cmd":"sleep 0.0{count - k}; echo result-{k}"}}]' for k in range(count))
    events = client.say(session, f"{script}[then][say done]", agent="tools")
    assert results_of(events) == [f"result-{k}" for k in range(count)]
    _, turn, answers = last_request(model)
    ids = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    assert [block["tool_use_id"] for block in answers["content"]] == ids
    assert goes_on(client, session)


@pytest.mark.parametrize("quirk", ["same-ids", "empty-id"])
def test_f26_calls_with_bad_ids_run_once_each_within_a_turn_and_across_turns(
    baton: BatonProcess, client: Client, quirk: str
) -> None:
    session = client.new_session(tools_approved=True)
    written = baton.directory / f"{quirk}-{session}"
    calls = "".join(f'[call shell {{"cmd":"echo {k} >> {written}"}}]' for k in (1, 2))
    again = f'[call shell {{"cmd":"echo 3 >> {written}"}}]'
    events = client.say(session, f"{calls}[{quirk}][then]{again}[{quirk}][then][say done]", agent="tools")
    assert text_of(events) == "done"
    assert written.read_text() == "1\n2\n3\n"
    assert len(client.messages(session)) == len(("user", "two calls", "1", "2", "a call", "3", "done"))
    assert goes_on(client, session)


def stop_at_the_model(
    client: Client, session: str, text: str, model: OfflineServer, *, requests: int
) -> None:
    """A run that is stopped as soon as the model has been asked that often."""
    with client.run(session, text, agent="tools") as stream:
        assert model.wait_until(lambda stats: stats.requests == requests)
        client.post(f"/api/sessions/{session}/cancel?wait=30")
        stream.rest()


@pytest.mark.parametrize("deltas", range(1, 12))
def test_f27_a_turn_that_is_stopped_between_its_thoughts_is_replayed_with_whole_ones_only(
    client: Client, model: OfflineServer, deltas: int
) -> None:
    session = client.new_session()
    script = f"[think of one][say one][think of two][redact][say two][hold {deltas}]"
    stop_at_the_model(client, session, script, model, requests=1)
    stop_at_the_model(client, session, "and on", model, requests=2)  # held once more, if nothing was kept
    replayed = [
        block
        for message in last_request(model)
        if message["role"] == "assistant"
        for block in message["content"]
        if block["type"] in THOUGHTS
    ]
    kinds = ["thinking", "thinking", "redacted_thinking"]
    assert [block["type"] for block in replayed] == kinds[: len(replayed)]
    for block in replayed:
        assert block.get("signature") or block.get("data"), "a thought without its signature"


@pytest.mark.parametrize(
    "script",
    [
        "[think of nothing else][empty]",
        "[empty]",
        "[blank]",
        "[think a moment][blank]",
        '[call shell {"cmd":"true"}][then][say done]',
        '[call shell {"cmd":"true"}][then][empty]',
        '[call shell {"cmd":"true"}][then][think of it][blank]',
    ],
)
def test_f28_turns_and_tools_that_say_nothing_do_not_stand_in_the_way(client: Client, script: str) -> None:
    session = client.new_session(tools_approved=True)
    assert client.say(session, script, agent="tools")[-1]["type"] == "stream_stopped"
    assert client.say(session, "[say and on]", agent="tools")[-1]["type"] == "stream_stopped"


@pytest.mark.parametrize("cut", ["truncate", "truncate-as-tool_use"])
def test_f29_a_call_whose_arguments_were_cut_is_answered_and_not_run(
    baton: BatonProcess, client: Client, cut: str
) -> None:
    session = client.new_session(tools_approved=True)
    written = baton.directory / f"{cut}-{session}"
    whole, half = (f'[call shell {{"cmd":"echo {k} >> {written}"}}]' for k in ("whole", "half"))
    client.say(session, f"{whole}{half}[{cut}][then][say done]", agent="tools")
    assert "half" not in (written.read_text() if written.exists() else "")
    rows = [message for message in client.messages(session) if message["role"] == "tool"]
    assert rows[-1]["is_error"]
    assert goes_on(client, session)


@pytest.mark.parametrize("name", ["functions.think", "a/b", "é", "x" * 300, "read_file."])
def test_a_call_by_an_impossible_name_costs_the_call_and_not_the_run(
    client: Client, model: OfflineServer, name: str
) -> None:
    session = client.new_session(tools_approved=True)
    events = client.say(session, f"[say text before][call {name} {{}}][then][say done]", agent="tools")
    words = f"Tool '{name}' is not available. You can only use the tools provided to you."
    assert results_of(events) == [words]
    assert text_of(events).endswith("done")
    _, turn, answers = last_request(model)
    assert turn["content"][0]["text"] == "text before"
    assert "called" not in turn["content"][1]
    assert answers["content"][0]["is_error"]
    assert goes_on(client, session)


def test_an_impossible_name_never_stands_for_a_tool_of_a_similar_name(client: Client) -> None:
    session = client.new_session(tools_approved=True)
    events = client.say(session, "[call read.file {}][then][say done]", agent="tools")
    assert results_of(events)[0].startswith("Tool 'read.file' is not available.")


def test_arguments_that_are_json_in_a_string_are_read(baton: BatonProcess, client: Client) -> None:
    session = client.new_session(tools_approved=True)
    place = baton.directory / f"{session}.txt"
    place.write_bytes(b"one\r\ntwo\r\n")
    edits = json.dumps(json.dumps([{"old_text": "one\ntwo", "newText": "1\n2"}]))
    call = f'[call edit_file {{"path": "{place.name}", "edits": {edits}}}]'
    events = client.say(session, f"{call}[then][say done]", agent="tools")
    assert results_of(events)[0].startswith("File edited successfully.")
    assert place.read_bytes() == b"1\r\n2\r\n"


def test_arguments_that_do_not_fit_are_refused_before_anybody_is_asked(client: Client) -> None:
    session = client.new_session()
    events = client.say(session, '[call write_file {"pth": "x"}][then][say done]', agent="tools")
    problems = "path is missing; content is missing; there is no argument pth (did you mean path?)"
    assert results_of(events) == [f"Error calling tool: {problems}"]
    assert "tool_call_confirmation" not in [event["type"] for event in events]
