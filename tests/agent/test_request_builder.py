"""Requests by example; `tests/conversation/test_properties.py` has the rules that hold for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from app.agent.request_builder import RequestBuilder, named_rows
from app.conversation.compaction import condensed
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.summary import Summary
from app.conversation.system_words import system_block
from app.conversation.transcript import Message
from tests.conversation.rows import PROMPT, answer, assistant, call, thinking, user

FROZEN = FrozenPrompt(PROMPT, "root", "d", "m", '[{"type":"text","text":"Be brief."}]', "[]")
MARK = {"type": "ephemeral"}


def messages(builder: RequestBuilder, *rows: Message) -> list[dict[str, Any]]:
    request = builder.build(rows, model="m", max_tokens=10, options={})
    return [orjson.loads(message) for message in request.messages]


def marked(sent: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [
        (index, place)
        for index, message in enumerate(sent)
        for place, block in enumerate(message["content"])
        if block.get("cache_control") == MARK
    ]


TALK = [
    user("Hi"),
    assistant("Let me look.", call("a"), call("b")),
    answer("a"),
    answer("b"),
    assistant("Done."),
    user("And?"),
]


def test_the_prompt_is_sent_byte_for_byte() -> None:
    request = RequestBuilder(FROZEN).build(
        [user("Hi")], model="m", max_tokens=10, options={"x": 1}, base_url="u"
    )
    assert (request.system, request.tools) == (FROZEN.system.encode(), b"[]")
    assert (request.model, request.max_tokens, request.options, request.base_url) == ("m", 10, {"x": 1}, "u")


def test_results_share_one_message_and_the_words_after_them_another_turn() -> None:
    sent = messages(RequestBuilder(FROZEN), *TALK)
    assert [message["role"] for message in sent] == ["user", "assistant", "user", "assistant", "user"]
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result"]


def test_the_last_blocks_of_the_two_newest_user_messages_are_marked() -> None:
    builder = RequestBuilder(FROZEN)
    assert marked(messages(builder, *TALK[:1])) == [(0, 0)]
    assert marked(messages(builder, *TALK[:4])) == [(0, 0), (2, 1)]
    assert marked(messages(builder, *TALK)) == [(2, 1), (4, 0)]


def test_only_the_newest_messages_are_encoded_anew() -> None:
    builder = RequestBuilder(FROZEN)
    rows = [row for _ in range(5) for row in (user("Hi"), assistant("Hello"))] + [user("1")]
    first = builder.build(rows, model="m", max_tokens=10, options={}).messages
    rows += [assistant("x"), user("2")]
    second = builder.build(rows, model="m", max_tokens=10, options={}).messages
    assert all(before is after for before, after in zip(first[:8], second[:8], strict=True))


def test_thinking_of_another_prompt_is_not_sent() -> None:
    rows = [
        user("Hi"),
        assistant(thinking("mine"), "a"),
        assistant(thinking("old"), "b", prompt="before"),
        user("?"),
    ]
    sent = messages(RequestBuilder(FROZEN), *rows)
    assert [block.get("thinking") or block["text"] for block in sent[1]["content"]] == ["mine", "a", "b"]


def test_what_is_only_ours_is_not_sent() -> None:
    said = assistant(
        {"type": "text", "text": "Hi", "citations": None, "parsed_output": 1}, partial="cancelled"
    )
    sent = messages(RequestBuilder(FROZEN), user("Hi"), said, user("?"))
    assert sent[1] == {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}


def test_system_words_stand_behind_what_the_user_says_around_them() -> None:
    rows = [
        Message("user", (system_block("One."),)),
        user("Hi"),
        Message("user", (system_block("Two."),)),
        user("Hello"),
        assistant("Yes?"),
        Message("user", (system_block("Three."),)),
    ]

    def roles(model: str) -> list[tuple[str, int]]:
        request = RequestBuilder(FROZEN).build(rows, model=model, max_tokens=10, options={})
        sent = [orjson.loads(message) for message in request.messages]
        assert all("system" not in block for message in sent for block in message["content"])
        return [(message["role"], len(message["content"])) for message in sent]

    said = [("user", 2), ("system", 2), ("assistant", 1)]
    assert roles("claude-opus-5") == [*said, ("user", 1)], "words that nothing is said to are the user's"
    assert roles("claude-opus-4-7") == [("user", 2), *(("user", 2), ("assistant", 1), ("user", 1))]
    place = "messages.1.content.1: no"
    assert named_rows(rows, FROZEN, place) == [rows[2]]
    assert named_rows(rows, FROZEN, "messages.2.content.0: no") == [rows[4]]


def test_a_summary_keeps_the_system_words() -> None:
    rows = [user("Hi"), Message("user", (system_block("A rule."),)), assistant("Yes?"), user("And?")]
    placed = [replace(row, position=place) for place, row in enumerate(rows)]
    shown = condensed(placed, Summary(1, "They met.", 3, 0, 0, 4))
    sent = RequestBuilder(FROZEN).build(shown, model="claude-opus-5", max_tokens=10, options={}).messages
    assert [orjson.loads(message)["role"] for message in sent] == ["user", "system"]
    assert orjson.loads(sent[1])["content"] == [{"type": "text", "text": "A rule."}]
