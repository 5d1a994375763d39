"""Blocks: which are blank, which are signed, which the API takes back, and results that always say something."""

from __future__ import annotations

import orjson
import pytest

from app.conversation import blocks
from app.conversation.blocks import Block
from tests.conversation.rows import call, result, search, thinking


@pytest.mark.parametrize(
    ("block", "blank"),
    [
        ({"type": "text", "text": "x"}, False),
        ({"type": "text", "text": " \n\t\u00a0"}, True),
        ({"type": "text", "text": ""}, True),
        ({"type": "text", "text": None}, True),
        ({"type": "text", "text": 7}, True),
        ({"type": "text"}, True),
        ({"type": "thinking", "thinking": ""}, False),
    ],
)
def test_only_texts_are_blank(block: Block, blank: bool) -> None:
    assert blocks.is_blank(block) is blank


@pytest.mark.parametrize(
    ("block", "signed"),
    [
        (thinking(), True),
        (thinking(signature=""), False),
        ({"type": "thinking", "thinking": "x"}, False),
        ({"type": "redacted_thinking", "data": "x"}, True),
        ({"type": "redacted_thinking", "data": None}, False),
    ],
)
def test_thinking_is_signed_by_its_own_field(block: Block, signed: bool) -> None:
    assert blocks.is_signed(block) is signed


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (
            {"type": "text", "text": "x", "citations": None, "parsed_output": 1},
            {"type": "text", "text": "x"},
        ),
        ({"type": "text", "text": "x", "citations": []}, {"type": "text", "text": "x"}),
        (call("a", caller=None, index=3), call("a")),
        (call("a", caller=None), call("a")),
        ({**result("a"), "is_error": None}, result("a")),
        (search() | {"caller": {"type": "direct"}}, search() | {"caller": {"type": "direct"}}),
    ],
)
def test_what_the_api_would_not_take_back_is_left_out(block: Block, sent: Block) -> None:
    assert blocks.for_api(block) == sent


def test_a_block_that_can_go_back_is_not_copied_nor_is_one_that_nobody_knows() -> None:
    for block in (call("a"), thinking(), {"type": "hologram", "x": None}, {"type": "text", "text": "x"}):
        assert blocks.for_api(block) is block


@pytest.mark.parametrize("output", ["", " \n"])
def test_a_blank_result_says_that_it_is_blank(output: str) -> None:
    assert blocks.tool_result("a", output)["content"] == blocks.NO_OUTPUT


def test_an_error_carries_text_only() -> None:
    pictures = [("image/png", "aGk=")]
    assert blocks.tool_result("a", "no", is_error=True, images=pictures) == result("a", "no", is_error=True)
    assert [part["type"] for part in blocks.tool_result("a", "", images=pictures)["content"]] == [
        "text",
        "image",
    ]


def test_a_lone_surrogate_does_not_get_into_a_transcript() -> None:
    for block in (blocks.text_block("a\ud800b"), blocks.tool_result("a", "a\ud800b")):
        assert "a?b" in orjson.dumps(block).decode()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("x", "x"),
        ([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}], "ab"),
        (None, ""),
    ],
)
def test_a_result_reads_as_one_text(content: object, text: str) -> None:
    assert blocks.result_text({"type": "tool_result", "content": content}) == text
