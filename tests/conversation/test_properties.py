"""Whatever a history went through, it heals to what the API accepts, once and for all (F23); and what is sent only
grows."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anthropic_standin.judge import judge
from app.agent.request_builder import RequestBuilder
from app.conversation.blocks import Block
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.healing import heal
from app.conversation.transcript import Message, Transcript, api_content
from tests.conversation.rows import (
    MODEL,
    PROMPT,
    SYSTEM,
    TOOLS,
    assistant,
    call,
    found,
    request_body,
    result,
    search,
    thinking,
    user,
)

thorough = settings(
    max_examples=200,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
brief = settings(thorough, max_examples=60)

IDS = st.sampled_from(["a", "b", "c", "run:0", "", "a\n", "srvtoolu_1", "call"])
SERVER_IDS = st.sampled_from(["srvtoolu_1", "srvtoolu_2"])
TEXTS = st.sampled_from(
    ["", " ", "words", "ä\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)
VALUES: st.SearchStrategy[Any] = st.sampled_from([None, 7, "", "{", '{"x": 1}', [], ["x"], {"x": 1}])

BLOCKS: st.SearchStrategy[Block] = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    st.builds(lambda call_id, value: call(call_id, input=value), IDS, VALUES),
    st.builds(
        lambda call_id, name: call(call_id, name=name), IDS, st.sampled_from([None, "", "a.b", "x" * 300])
    ),
    st.builds(result, IDS, TEXTS),
    st.builds(
        lambda call_id, value, bad: {**result(call_id), "content": value, "is_error": bad},
        IDS,
        VALUES,
        st.booleans(),
    ),
    st.builds(lambda: {"type": "tool_result", "content": "for nobody"}),
    st.builds(lambda: thinking("Hm.", signature="")),
    SERVER_IDS.map(search),
    SERVER_IDS.map(found),
    st.builds(lambda text: {"type": "text", "text": text, "citations": None, "parsed": 1}, TEXTS),
    st.sampled_from(
        [{"type": "text_delta", "text": "x"}, {"type": "text"}, {"type": 7}, {}, {"type": "text", "text": 5}]
    ),
)
GARBAGE = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool"]),
    st.lists(BLOCKS, max_size=4).map(tuple),
    prompt=st.sampled_from(["", PROMPT]),
    stop_reason=st.sampled_from(["", "pause_turn", "tool_use"]),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A life: questions, turns with calls, results as they come, cancels in between, turns that were cut."""
    rows: list[Message] = []
    number = 0
    for _ in range(draw(st.integers(1, 6))):
        rows.append(user(draw(st.sampled_from(["Hi", "And?", "Stop!"]))))
        for _ in range(draw(st.integers(0, 3))):
            ids = [f"call{number + index}" for index in range(draw(st.integers(0, 4)))]
            number += len(ids)
            words: list[Block | str] = draw(st.sampled_from([[], ["Let me see."]]))
            if not words and not ids:
                break
            rows.append(assistant(*words, *map(call, ids), partial=draw(st.sampled_from(["", "cancelled"]))))
            answered = draw(st.permutations(ids))[: draw(st.integers(0, len(ids)))]
            rows += [Message("tool", (result(call_id),)) for call_id in answered]
            if len(answered) < len(ids):
                break  # cancelled, killed or cut: the next question comes all the same
    return rows


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """A life with foreign rows strewn in, and with rows lost or moved."""
    rows = draw(conversations())
    for row in draw(st.lists(GARBAGE, max_size=6)):
        rows.insert(draw(st.integers(0, len(rows))), row)
    for _ in range(draw(st.integers(0, 3))):
        if rows:
            lost = rows.pop(draw(st.integers(0, len(rows) - 1)))
            if draw(st.booleans()):
                rows.insert(draw(st.integers(0, len(rows))), lost)
    return rows


def dumped(rows: Iterable[Message]) -> list[bytes]:
    return [orjson.dumps([row.role, row.content]) for row in rows]


@brief
@given(conversations())
def test_any_life_with_cancels_and_cuts_heals_to_what_the_api_accepts(rows: list[Message]) -> None:
    judge(request_body(heal([*rows, user("Go on.")]).rows))


@thorough
@given(histories())
def test_any_history_heals_to_what_the_api_accepts(rows: list[Message]) -> None:
    judge(request_body(heal([*rows, user("Go on.")]).rows))


@brief
@given(histories())
def test_healing_twice_is_healing_once_and_changes_nothing_that_was_given(rows: list[Message]) -> None:
    before = copy.deepcopy(rows)
    once = heal(rows).rows
    assert dumped(heal(once).rows) == dumped(once)
    assert rows == before


@brief
@given(st.lists(GARBAGE, max_size=10))
def test_garbage_alone_heals_too(rows: list[Message]) -> None:
    judge(request_body(heal([*rows, user("Go on.")]).rows))


@brief
@given(conversations())
def test_a_valid_transcript_is_not_touched(rows: list[Message]) -> None:
    valid = heal(rows).rows
    assert all(before is after for before, after in zip(valid, heal(valid).rows, strict=True))


@brief
@given(histories())
def test_no_words_are_lost_or_made_up(rows: list[Message]) -> None:
    """Apart from the sentence for a missing beginning."""

    def words(some: Iterable[Message]) -> list[str]:
        texts = [
            block.get("text")
            for row in some
            if row.role != "tool"
            for block in row.content
            if block.get("type") == "text"
        ]
        return [
            text for text in texts if isinstance(text, str) and text.strip() and not text.startswith("(The")
        ]

    assert words(heal(rows).rows) == words(rows)


@brief
@given(histories())
def test_whoever_adds_a_row_to_a_healed_transcript_gets_what_healing_all_of_it_gives(
    rows: list[Message],
) -> None:
    transcript = heal([*rows, user("Go on.")])
    assert Transcript.of(transcript.rows) == transcript
    assert heal([*transcript.rows, assistant("Yes.")]) == transcript.add(assistant("Yes."))


# ---- what is sent

FROZEN = FrozenPrompt(
    digest=PROMPT,
    agent="root",
    definition="",
    model=MODEL,
    system=orjson.dumps(SYSTEM).decode(),
    tools=orjson.dumps(TOOLS).decode(),
)


def built(builder: RequestBuilder, rows: tuple[Message, ...]) -> list[dict[str, Any]]:
    request = builder.build(rows, model=MODEL, max_tokens=1000, options={})
    return [orjson.loads(message) for message in request.messages]


def unmarked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **message,
            "content": [
                {k: v for k, v in block.items() if k != "cache_control"} for block in message["content"]
            ],
        }
        for message in messages
    ]


def plain(rows: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages of a request as the API's rules have them: roles alternate, and none is empty."""
    messages: list[dict[str, Any]] = []
    for row in rows:
        role, content = "assistant" if row.role == "assistant" else "user", api_content(row, prompt=PROMPT)
        if content and (not messages or messages[-1]["role"] != role):
            messages.append({"role": role, "content": []})
        if content:
            messages[-1]["content"].extend(content)
    return messages


@brief
@given(histories())
def test_a_request_is_the_plain_rendering_with_cache_marks(rows: list[Message]) -> None:
    healed = heal([*rows, user("Go on.")]).rows
    messages = built(RequestBuilder(FROZEN), healed)
    assert unmarked(messages) == orjson.loads(orjson.dumps(plain(healed)))
    marks = [block for message in messages for block in message["content"] if "cache_control" in block]
    assert len(marks) <= 2
    assert "cache_control" in messages[-1]["content"][-1]
    judge({"model": MODEL, "max_tokens": 1000, "system": SYSTEM, "tools": TOOLS, "messages": messages})


@brief
@given(histories(), st.data())
def test_every_request_begins_with_the_one_before(rows: list[Message], data: st.DataObject) -> None:
    healed = heal([*rows, user("Go on.")]).rows
    stops = [index for index, row in enumerate(healed, 1) if row.role == "user"]
    earlier = data.draw(st.sampled_from(stops))
    builder = RequestBuilder(FROZEN)
    first = unmarked(built(builder, healed[:earlier]))
    second = unmarked(built(builder, healed))
    assert second == unmarked(built(RequestBuilder(FROZEN), healed))
    assert second[: len(first) - 1] == first[:-1]
    last = first[-1]["content"]
    assert second[len(first) - 1]["content"][: len(last)] == last


def test_a_request_after_a_paused_turn_that_was_given_up_begins_anew() -> None:
    paused = [user("Hi"), assistant("I look.", search(), stop_reason="pause_turn")]
    builder = RequestBuilder(FROZEN)
    assert "server_tool_use" in str(built(builder, heal(paused).rows))
    healed = heal([*paused, user("Never mind.")]).rows
    assert built(builder, healed) == built(RequestBuilder(FROZEN), healed)
