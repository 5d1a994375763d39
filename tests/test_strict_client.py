"""The contract's clients in our tests are as strict as the contract says, and read every stream of every test.

`tests.harness` hands both generations each event, and the bytes of each stream that a test reads to its end, so a
scenario that one would lose an event of fails wherever it is tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.harness.strict_client import DECODERS, MARCH, MAX_LINE, Decoder, Promises, StrictClient
from tests.harness.wire import Stream

TIME = "2026-03-14T09:00:00.1Z"


def read(*lines: bytes, decoder: Decoder = MARCH) -> StrictClient:
    client = StrictClient(decoder)
    client.feed(b"".join(line + b"\n" for line in lines))
    return client


def line(**event: Any) -> bytes:
    return b"data: " + json.dumps(event).encode()


@pytest.mark.parametrize(
    "event",
    [
        {"type": "warning", "message": 5},
        {"type": "warning", "message": "m", "timestamp": "2026-03-14T09:00:00"},
        {"type": "warning", "message": "m", "timestamp": "2026-03-14 09:00:00Z"},
        {"type": "warning", "message": "m", "timestamp": "2026-02-30T09:00:00Z"},
        {"type": "warning", "message": "m", "timestamp": 5},
        {"type": "agent_choice", "content": ["x"]},
        {"type": "toolset_info", "available_tools": 1.5},
        {"type": "toolset_info", "available_tools": 2**63},
        {"type": "toolset_info", "available_tools": True},
        {"type": "toolset_info", "loading": "no"},
        {"type": "team_info", "available_agents": {"name": "x"}},
        {"type": "team_info", "available_agents": [{"commands": {"fix": "Fix it"}}]},
        {"type": "tool_call", "tool_call": {"function": {"arguments": {}}}},
        {"type": "tool_call", "tool_definition": {"annotations": []}},
        {"type": "tool_call_response", "result": {"isError": "yes"}},
        {"type": "tool_call_response", "result": {"images": [{"data": 1}]}},
        {"type": "token_usage", "usage": {"cost": "0.1"}},
        {"type": "token_usage", "usage": {"last_message": {"Model": 5}}},
        {"type": "elicitation_request", "meta": []},
        {"type": 5},
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_an_event_with_a_wrong_type_in_it_is_dropped_and_the_stream_goes_on(
    event: dict[str, Any], decoder: Decoder
) -> None:
    client = read(line(**event), line(type="warning", message="m"), decoder=decoder)
    assert len(client.dropped) == 1
    assert [event["message"] for event in client.events] == ["m"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "warning", "message": None, "timestamp": None, "more": 5},
        {"type": "warning", "Message": "m", "timestamp": TIME},
        {"type": "error", "error": "e", "code": 5, "timestamp": "0001-01-01T00:00:00Z"},
        {"type": "tool_call_response", "result": None, "tool_definition": {"outputSchema": [1]}},
        {"type": "token_usage", "usage": {"cost": 1, "last_message": {"Cost": 1e-7, "Model": "m"}}},
        {"type": "elicitation_request", "schema": "any", "meta": {"a": [1]}},
        {"type": "team_info", "available_agents": None, "timestamp": "2026-03-14T09:00:00+02:00"},
    ],
)
def test_what_its_decoder_takes_is_taken(event: dict[str, Any]) -> None:
    client = read(line(**event))
    assert (client.dropped, client.events) == ([], [event])


def test_unknown_types_comments_and_other_lines_are_skipped() -> None:
    lines = [
        b": ping",
        b"",
        b"id: 4",
        b"retry: 2000",
        b"event: x",
        b"data:{}",
        b'data: {"type":"gap","session_id":5}',
    ]
    client = read(*lines, line(type="warning", message="m") + b"\r")
    assert (client.dropped, len(client.unknown), len(client.events)) == ([], 1, 1)


def test_broken_json_is_dropped() -> None:
    assert len(read(b'data: {"type":', b"data: [1]", b'data: {"type":"warning","message":NaN}').dropped) == 3


@pytest.mark.parametrize(("length", "reads_on"), [(MAX_LINE, True), (MAX_LINE + 1, False)])
def test_a_line_that_is_too_long_ends_the_stream(length: int, reads_on: bool) -> None:
    around = len(line(type="warning", message=""))
    client = read(line(type="warning", message="x" * (length - around)), line(type="warning", message="m"))
    assert client.cut_off is not reads_on
    assert len(client.events) == (2 if reads_on else 0)


def events(*kinds: str) -> list[dict[str, Any]]:
    """`kind` or `kind:id`; the id is that of the session, or of the call."""
    made = []
    for kind, _, name in (one.partition(":") for one in kinds):
        call = {"tool_call": {"id": name}, "result": {}}
        made.append({"type": kind, "session_id": name, **call})
    return made


@pytest.mark.parametrize(
    "kinds",
    [
        ("user_message:s", "agent_choice:s"),
        ("stream_started:s", "stream_stopped:s", "token_usage:s"),
        ("stream_started:s", "stream_started:t", "stream_stopped:s"),
        ("stream_started:s", "tool_call_response:c", "tool_call_response:c"),
        ("stream_started:s", "tool_call_confirmation:c", "tool_call_confirmation:d"),
        ("stream_started:s", "tool_call_confirmation:c", "tool_call:d"),
        ("stream_started:s", "tool_call:c", "tool_call:d", "tool_call_response:c"),
        ("stream_started:s", "stream_started:t", "agent_choice:s"),
        ("stream_started:s", "partial_tool_call:c", "message_added:s", "tool_call:c"),
    ],
)
def test_an_order_that_the_contract_does_not_have_is_seen(kinds: tuple[str, ...]) -> None:
    promises = Promises()
    *before, last = events(*kinds)
    for event in before:
        promises.see(event)
    with pytest.raises(AssertionError):
        promises.see(last)


def call(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"name": "n", "arguments": arguments}
    return {"type": "partial_tool_call", "tool_call": {"id": name, "function": function}, **more}


def all_seen(*told: dict[str, Any]) -> Promises:
    promises = Promises()
    for event in told:
        promises.see(event)
    return promises


STARTED: dict[str, Any] = {"type": "stream_started", "session_id": "s"}
WHOLE: dict[str, Any] = {**call("c", '{"a":1}'), "type": "tool_call"}


@pytest.mark.parametrize(
    ("form", "pieces"),
    [
        ("", [call("c", "", tool_definition={})]),
        ("march", [call("c", "", tool_definition={}), call("c", '{"a"', tool_definition={})]),
        ("later", [call("c", "", tool_definition={}), call("c", '{"a"'), call("c", ":1")]),
        ("later", [call("c", '{"a"', tool_definition={}), call("c", ":1}")]),
    ],
)
def test_pieces_of_a_call_are_in_one_form_and_a_beginning_of_it(
    form: str, pieces: list[dict[str, Any]]
) -> None:
    assert all_seen(STARTED, *pieces, WHOLE).calls.form == form


@pytest.mark.parametrize(
    "pieces",
    [
        [call("c", '{"b"', tool_definition={})],
        [call("c", "{", tool_definition={}), call("c", '{"a"')],
        [call("c", "{", tool_definition={}), call("c", '"a"', tool_definition={})],
        [call("c", "{", tool_definition={}), call("c", '"a"'), call("c", '{"a":1', tool_definition={})],
    ],
    ids=["another text", "text so far as a piece", "a piece as text so far", "both forms"],
)
def test_pieces_that_are_not_of_their_call_are_seen(pieces: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        all_seen(STARTED, *pieces, WHOLE)


def spoken(name: str, session: str = "s") -> dict[str, Any]:
    return {"type": "agent_choice", "content": "x", "session_id": session, "message_id": name}


def test_the_id_of_a_message_that_was_added_is_not_used_again() -> None:
    promises = Promises()
    for event in (
        STARTED,
        spoken("m"),
        spoken("m"),
        {"type": "message_added", "session_id": "s"},
        spoken("n"),
    ):
        promises.see(event)
    with pytest.raises(AssertionError, match="earlier"):
        promises.see(spoken("m"))


class Silent(requests.Response):
    """A stream that brings one event and then heartbeats, for ever."""

    def iter_content(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield b"id: 1\n" + line(type="stream_started", session_id="s", timestamp=TIME) + b"\n\n"
        while True:
            yield b": ping\n\n"


def test_a_stream_with_nothing_but_heartbeats_fails_its_test() -> None:
    with pytest.raises(AssertionError, match="nothing but heartbeats behind"):
        Stream(Silent(), patience=0.0).until("stream_stopped")
