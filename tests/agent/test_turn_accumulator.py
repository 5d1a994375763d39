"""The fold of a stream into a turn: what is shown, what is kept, and what of a turn that was cut."""

from __future__ import annotations

from typing import Any

import pytest

from app.agent.anthropic.sse_decoder import MalformedStream
from app.agent.anthropic.turn_accumulator import Delta, StreamFailed, TurnAccumulator
from app.agent.model_client import CallDelta, TextDelta, ThinkingDelta, Turn
from app.conversation.blocks import Block, text_block, tool_result
from app.conversation.transcript import Message, Transcript
from app.conversation.usage import Usage

Event = dict[str, Any]

SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def begin(**usage: Any) -> Event:
    message = {
        "id": "msg_1",
        "model": "claude-x",
        "content": [],
        "usage": {"input_tokens": 7, "output_tokens": 1},
    }
    message["usage"] = {"input_tokens": 7, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": message}


def start(index: int, block: Block) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None = "end_turn", **fields: Any) -> list[Event]:
    usage = fields.pop("usage", {"output_tokens": 9})
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None, **fields},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def text(index: int, *pieces: str) -> list[Event]:
    return [
        start(index, {"type": "text", "text": ""}),
        *(delta(index, "text_delta", text=piece) for piece in pieces),
        stop(index),
    ]


def thinking(index: int) -> list[Event]:
    return [
        start(index, {"type": "thinking", "thinking": "", "signature": ""}),
        delta(index, "thinking_delta", thinking="H"),
        delta(index, "thinking_delta", thinking="m."),
        delta(index, "signature_delta", signature="c2ln"),
        stop(index),
    ]


def call(index: int, *pieces: str, call_id: str = "toolu_1", kind: str = "tool_use") -> list[Event]:
    return [
        start(index, {"type": kind, "id": call_id, "name": "look", "input": {}}),
        *(delta(index, "input_json_delta", partial_json=piece) for piece in ("", *pieces)),
        stop(index),
    ]


def fold(*events: Event | list[Event]) -> tuple[TurnAccumulator, list[Delta]]:
    folded, shown = TurnAccumulator(), []
    for one in events:
        for event in one if isinstance(one, list) else [one]:
            if (seen := folded.add(event)) is not None:
                shown.append(seen)
    return folded, shown


def turn(*events: Event | list[Event]) -> Turn:
    folded, _ = fold(begin(), *events)
    assert folded.finished
    return folded.turn()


def partial(*events: Event | list[Event]) -> tuple[Block, ...] | None:
    kept = fold(begin(), *events)[0].partial()
    return kept.content if kept else None


def test_a_turn_has_its_blocks_in_order_as_they_came() -> None:
    whole = turn(thinking(0), text(1, "Let me ", "look."), call(2, '{"a":', " 1}"), end("tool_use"))
    assert whole == Turn(
        content=(
            SIGNED,
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
        ),
        stop_reason="tool_use",
        usage=Usage(input_tokens=7, output_tokens=9),
        model="claude-x",
    )


def test_what_is_said_is_shown_piece_by_piece_and_nothing_empty() -> None:
    _, shown = fold(begin(), thinking(0), text(1, "", "Hi", " you"), call(2, '{"a"', ":1}"))
    assert shown == [
        ThinkingDelta("H"),
        ThinkingDelta("m."),
        TextDelta("Hi"),
        TextDelta(" you"),
        CallDelta("toolu_1", "look", ""),
        CallDelta("toolu_1", "look", '{"a"'),
        CallDelta("toolu_1", "look", ":1}"),
    ]


def test_text_that_stands_in_a_block_from_the_start_is_shown_and_kept() -> None:
    folded, shown = fold(
        start(0, {"type": "text", "text": "Hel"}), delta(0, "text_delta", text="lo"), stop(0), end()
    )
    assert shown == [TextDelta("Hel"), TextDelta("lo")]
    assert folded.turn().content == ({"type": "text", "text": "Hello"},)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    (block,) = turn(call(0), end("tool_use")).content
    assert block["input"] == {}


@pytest.mark.parametrize("raw", ['{"a": ', "[1]", '"text"', "nonsense", "null"])
def test_an_input_that_is_no_object_is_kept_as_text_and_the_call_marked(raw: str) -> None:
    whole = turn(call(0, raw), call(1, "{}", call_id="toolu_2"), end("tool_use"))
    assert whole.content[0]["input"] == {"INVALID_JSON": raw}
    assert whole.broken_calls == {"toolu_1"}


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_call_that_a_limit_may_have_cut_is_marked_though_it_reads_as_json(reason: str) -> None:
    whole = turn(call(0, "{}"), call(1, '{"a":1}', call_id="toolu_2"), end(reason))
    assert whole.broken_calls == {"toolu_2"}
    assert turn(call(0, "{}"), text(1, "so"), end(reason)).broken_calls == frozenset()


def test_a_call_without_an_id_is_a_call_all_the_same() -> None:
    folded, shown = fold(
        start(0, {"type": "tool_use", "name": "look", "input": {}}), stop(0), end("tool_use")
    )
    assert shown == [CallDelta("", "look", "")]
    assert folded.turn().content[0]["id"] == ""


def test_blocks_of_unknown_types_are_carried() -> None:
    strange = {"type": "hologram", "beams": [1, {"x": None}]}
    served = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    whole = turn(
        [start(0, strange), stop(0)],
        call(1, '{"query":"x"}', call_id="srvtoolu_1", kind="server_tool_use"),
        [start(2, served), stop(2)],
        end(),
    )
    assert whole.content[0] == strange
    assert whole.content[1]["input"] == {"query": "x"}
    assert whole.content[2] == served


def test_citations_are_collected() -> None:
    cite = [delta(0, "citations_delta", citation={"cited_text": word}) for word in "ab"]
    whole = turn([start(0, {"type": "text", "text": "x"}), *cite, stop(0)], end())
    assert whole.content[0]["citations"] == [{"cited_text": "a"}, {"cited_text": "b"}]


def test_hidden_thinking_is_kept_for_its_signature() -> None:
    hidden = [start(0, {"type": "thinking", "thinking": "", "signature": ""})]
    hidden += [
        delta(0, "signature_delta", signature="old"),
        delta(0, "signature_delta", signature="new"),
        stop(0),
    ]
    assert turn(hidden, text(1, "x"), end()).content[0] == {
        "type": "thinking",
        "thinking": "",
        "signature": "new",
    }


def test_what_the_api_would_not_take_back_is_left_out_of_a_whole_turn() -> None:
    unsigned = [start(0, {"type": "thinking", "thinking": "?"}), stop(0)]
    assert turn(unsigned, text(1, " \n"), text(2, "x"), text(3), end()).content == (text_block("x"),)
    assert turn(text(0), end()).content == ()


def test_usage_is_replaced_by_later_figures_not_added() -> None:
    folded, _ = fold(
        begin(cache_read_input_tokens=100, cache_creation_input_tokens=50),
        end(usage={"output_tokens": 5})[:1],
        end(usage={"output_tokens": 20, "input_tokens": 30, "cache_read_input_tokens": None}),
    )
    assert folded.turn().usage == Usage(
        input_tokens=30, output_tokens=20, cache_read_tokens=100, cache_write_tokens=50
    )


def test_stop_details_are_kept() -> None:
    details = {"type": "refusal", "category": "cyber"}
    assert turn(end("refusal", stop_details=details)).stop_details == details


def test_events_and_deltas_that_nobody_knows_change_nothing() -> None:
    whole = turn(
        {"type": "ping"}, {"type": "weather"}, text(0, "x")[:2], delta(0, "mood", value=1), stop(0), end()
    )
    assert whole.content == (text_block("x"),)


@pytest.mark.parametrize("events", [end(None), [{"type": "message_stop"}], end()[:1]])
def test_a_turn_without_stop_reason_or_without_its_end_is_not_finished(events: list[Event]) -> None:
    folded, _ = fold(begin(), text(0, "x"), events)
    assert not folded.finished


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "ping",
        {},
        {"type": "content_block_delta"},
        delta(5, "text_delta", text="x"),
        delta(0, "text_delta"),
        delta(0, "text_delta", text=None),
        delta(0, "input_json_delta", partial_json={}),
        start(1, {"text": "no type"}),
        start(1, {"type": "tool_use"}),
        {"type": "message_start"},
        {"type": "message_delta", "delta": None},
        {"type": "error"},
    ],
)
def test_an_event_without_its_shape_is_malformed_and_leaves_what_was_there(event: Any) -> None:
    folded, _ = fold(begin(), text(0, "x")[:2])
    with pytest.raises(MalformedStream):
        folded.add(event)
    kept = folded.partial()
    assert kept is not None
    assert kept.content == (text_block("x"),)


def test_an_error_event_ends_the_fold_with_its_words() -> None:
    folded, _ = fold(begin())
    with pytest.raises(StreamFailed, match="Overloaded") as raised:
        folded.add({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert raised.value.error["type"] == "overloaded_error"


RICH = [
    begin(),
    *thinking(0),
    *text(1, "Let me ", "look."),
    *call(2, '{"query":', '"x"}', call_id="srvtoolu_1", kind="server_tool_use"),
    start(3, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
    stop(3),
    *thinking(4),
    *text(5, " "),
    *text(6, "So."),
    *call(7, '{"a"', ":1}"),
    *call(8, "{", call_id="toolu_2"),
    *end("tool_use"),
]


@pytest.mark.parametrize("length", range(len(RICH) + 1))
def test_a_turn_that_is_cut_anywhere_leaves_what_a_transcript_accepts(length: int) -> None:
    kept = fold(RICH[:length])[0].partial()
    if kept is None:
        assert length < 9  # its first text had not begun
        return
    rows = [Message("user", (text_block("Hi"),)), Message("assistant", kept.content)]
    rows += [Message("tool", (tool_result(one["id"], "cut", is_error=True),)) for one in rows[1].calls]
    assert Transcript.of(rows).open_calls == ()
    assert kept.content[-1]["type"] not in ("thinking", "redacted_thinking")
    assert kept.stop_reason == ""
    assert kept.usage is not None


def test_of_a_cut_turn_unfinished_text_is_kept_if_it_is_last_and_says_something() -> None:
    assert partial(text(0, "Done."), text(1, "And th")[:-1]) == (text_block("Done."), text_block("And th"))
    assert partial(text(0, "Done."), text(1, " ")[:-1]) == (text_block("Done."),)
    assert partial(text(0, " ")[:-1]) is None


def test_of_a_cut_turn_no_unfinished_call_and_no_unfinished_thinking_is_kept() -> None:
    assert partial(text(0, "I look."), call(1, '{"a": 1')[:-1]) == (text_block("I look."),)
    assert partial(text(0, "I think."), thinking(1)[:-2]) == (text_block("I think."),)
    assert partial(thinking(0)[:-2]) is None


def test_of_a_cut_turn_finished_calls_are_kept_and_broken_ones_marked() -> None:
    kept = fold(begin(), call(0, "{"), call(1, "{}", call_id="toolu_2"), call(2, call_id="toolu_3")[:-1])[
        0
    ].partial()
    assert kept is not None
    assert [block["id"] for block in kept.content] == ["toolu_1", "toolu_2"]
    assert kept.broken_calls == {"toolu_1"}


def test_of_a_cut_turn_a_servers_call_without_result_goes_and_thinking_signed_over_it_too() -> None:
    unserved = call(1, call_id="srvtoolu_1", kind="server_tool_use")
    assert partial(text(0, "I search."), unserved) == (text_block("I search."),)
    assert partial(text(0, "I search."), unserved, thinking(2), text(3, "Found.")) == (
        text_block("I search."),
        text_block("Found."),
    )


def test_of_a_cut_turn_thinking_is_kept_for_what_follows_it_only() -> None:
    assert partial(thinking(0), text(1, "So")[:-1]) == (SIGNED, text_block("So"))
    assert partial(thinking(0)) is None
    assert partial(thinking(0), text(1, "So"), thinking(2)) == (SIGNED, text_block("So"))


def test_what_is_left_of_nothing_is_nothing() -> None:
    assert TurnAccumulator().partial() is None
    assert partial() is None


HALVES = ("\ud83d", "\ude00")


def folded_with(*events: Event) -> tuple[Turn, list[Delta | None]]:
    fold = TurnAccumulator()
    deltas = [fold.add(event) for event in events]
    return fold.turn(), deltas


def test_half_of_a_surrogate_pair_costs_one_character() -> None:
    turn, deltas = folded_with(begin(), *text(0, "a\ud83db", "\ude00"), *end())
    assert turn.content == (text_block("a\ufffdb\ufffd"),)
    assert [d.text for d in deltas if isinstance(d, TextDelta)] == ["a\ufffdb", "\ufffd"]


def test_the_halves_of_a_pair_that_come_in_two_deltas_are_one_character() -> None:
    turn, deltas = folded_with(begin(), *text(0, "a" + HALVES[0], HALVES[1] + "b"), *end())
    assert turn.content == (text_block("a\U0001f600b"),)
    assert [d.text for d in deltas if isinstance(d, TextDelta)] == ["a", "\U0001f600b"]


def test_a_half_at_the_end_of_a_block_is_replaced() -> None:
    assert folded_with(begin(), *text(0, "a", HALVES[0]), *end())[0].content == (text_block("a\ufffd"),)


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        (['{"a": "\\ud83d"}'], "\ufffd"),
        (['{"a": "\\ud8', "3d\\ude", '00"}'], "\U0001f600"),
        (['{"a": "\\ud8', '3d"}'], "\ufffd"),
        (['{"a": "' + HALVES[0], HALVES[1] + '"}'], "\U0001f600"),
        (['{"a": "' + HALVES[0], '"}'], "\ufffd"),
    ],
)
def test_half_of_a_pair_in_a_calls_arguments_does_not_break_the_call(pieces: list[str], value: str) -> None:
    turn, _ = folded_with(begin(), *call(0, *pieces), *end("tool_use"))
    assert turn.broken_calls == frozenset()
    assert turn.content[0]["input"] == {"a": value}


def test_thinking_whose_characters_were_replaced_is_left_out_with_what_was_thought_behind_it() -> None:
    broken = [thinking(0)[0], delta(0, "thinking_delta", thinking="\ud83d"), *thinking(0)[2:]]
    turn, _ = folded_with(begin(), *broken, *text(1, "Hello"), *thinking(2), *text(3, "x"), *end())
    assert turn.content == (text_block("Hello"), text_block("x"))


@pytest.mark.parametrize(
    ("name", "usable", "called"),
    [
        ("functions.think", "functions_think", "functions.think"),
        ("", "unknown", ""),
        (None, "unknown", ""),
        ("a b\n\0é", "a_b___", "a b\n\0é"),
        ("x" * 300, "x" * 200, "x" * 300),
        ("\ud800", "_", "\ufffd"),
    ],
)
def test_a_call_by_an_impossible_name_is_kept_under_one_that_the_api_takes_back(
    name: str | None, usable: str, called: str
) -> None:
    made: Block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    turn, deltas = folded_with(begin(), start(0, made), stop(0), *end("tool_use"))
    assert turn.content[0] == {**made, "name": usable, "called": called}
    assert deltas[1] == CallDelta("toolu_1", usable, "")


def test_a_block_that_is_nested_too_deeply_is_malformed() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(MalformedStream):
        TurnAccumulator().add(start(0, {"type": "web_search_tool_result", "content": deep}))
