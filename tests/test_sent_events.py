"""The tables of the harness say what a server of either generation sends, and that clients read past our additions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import wire_additions, wire_later
from tests.harness.strict_client import (
    DECODERS,
    KNOWN,
    LATER,
    MARCH,
    Decoder,
    Misshapen,
    StrictClient,
    WrongType,
    decode_as_sent,
)

TIME = "2026-03-14T09:00:00.1Z"


def read(data: bytes, decoder: Decoder) -> StrictClient:
    client = StrictClient(decoder)
    client.feed(b"data: " + data + b"\n")
    return client


def told(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields, "timestamp": TIME}).encode()


TOOL: dict[str, Any] = {
    "name": "n",
    "category": "",
    "parameters": None,
    "annotations": {},
    "outputSchema": None,
}
STOPPED = {"session_id": "s", "agent_name": "root"}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("stream_stopped", STOPPED),
        ("stream_stopped", {**STOPPED, "reason": "normal"}),
        ("tool_call_output", {"tool_call_id": "c", "tool_definition": TOOL, "output": "x"}),
        ("agent_choice", {"content": "", **STOPPED, "message_id": "m"}),
        ("team_info", {"available_agents": None, "current_agent": "root"}),
        ("gap", {"session_id": "s", "first_available": 5, "snapshot": "/"}),
    ],
)
def test_what_either_generation_of_servers_sends_is_right(kind: str, fields: dict[str, Any]) -> None:
    assert decode_as_sent(told(kind, **fields))["type"] == kind


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        ("stream_ended", {}, "stream_ended is unknown"),
        *((kind, {}, f"{kind} is unknown") for kind in sorted(wire_later.SHAPES_NOT_READ)),
        *((kind, {}, f"{kind} is unknown") for kind in sorted(wire_later.MADE_BY_THE_CLIENT)),
        ("stream_stopped", {**STOPPED, "Reason": "normal"}, "Reason is unknown"),
        ("stream_stopped", {**STOPPED, "reason": ""}, "reason is empty"),
        ("stream_stopped", {"session_id": None}, "session_id is null"),
        ("warning", {}, "message is missing"),
        ("warning", {"message": "m", "more": 1}, "more is unknown"),
        ("hook_finished", {"session_id": "s", "hook_event": "stop", "duration_ms": 1}, "allowed is missing"),
        ("hook_finished", {"session_id": "s", "hook_event": "stop", "duration_ms": "1"}, "not an int64"),
        ("tool_call_output", {"tool_call_id": 5}, "not a string"),
        ("session_compaction", {"session_id": "s", "status": "completed", "outcome": 1}, "not a string"),
        ("team_info", {"available_agents": [{"name": "x"}], "current_agent": "x"}, "is missing"),
        ("token_usage", {"session_id": "s", "usage": {"cost": 1, "limit": 0}}, "limit is unknown"),
        ("gap", {"session_id": "s", "until": 5}, "gap has"),
    ],
)
def test_what_no_server_sends_is_seen_and_named(kind: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises((Misshapen, WrongType), match=why) as failure:
        decode_as_sent(told(kind, **fields))
    assert f'"type": "{kind}"' in str(failure.value)


ANYTHING: tuple[Any, ...] = ([1], {"a": None}, "x", 5.5, True)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", sorted(wire_additions.TYPES))
def test_a_type_of_our_own_is_skipped_by_both_clients(kind: str, decoder: Decoder) -> None:
    fields = dict.fromkeys(wire_additions.TYPES[kind], ANYTHING)
    client = read(told(kind, **fields), decoder)
    assert (len(client.unknown), client.dropped) == (1, [])


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("addition", sorted(wire_additions.FIELDS))
def test_a_field_of_our_own_is_skipped_by_a_client_that_does_not_know_it(
    addition: str, decoder: Decoder
) -> None:
    kind, _, key = addition.partition(".")
    knows = decoder.sent[kind].decodes(key)
    said = wire_additions.FIELDS[addition].startswith("March's client")
    assert knows is (said and decoder is LATER)
    for value in () if knows else ANYTHING:
        assert read(told(kind, **{key: value}), decoder).dropped == []


@pytest.mark.parametrize("decoder", DECODERS)
def test_what_only_the_other_generation_knows_is_skipped_and_mistaken_for_nothing(decoder: Decoder) -> None:
    """No key of the one differs from a key of the other in its case alone, and no kind differs."""
    other = MARCH if decoder is LATER else LATER
    for kind in sorted(decoder.known & other.sent.keys()):
        for key in other.sent[kind].fields.keys() - decoder.sent[kind].fields.keys():
            assert not decoder.sent[kind].decodes(key), (kind, key)


def test_each_event_of_march_is_still_known() -> None:
    assert LATER.known >= KNOWN
