"""What tool servers say, turned into tools and results that the model's API takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.agent.tools.mcp.results import MAX_BYTES, result_of, tool_of
from app.agent.toolset import ToolResult
from tests.agent.stage import echo
from tests.agent.tools.pictures import gif, png


def content(*parts: dict[str, Any], **more: Any) -> ToolResult:
    return result_of({"content": list(parts), **more})


def image(data: bytes | str) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    return {"type": "image", "data": encoded, "mimeType": "image/x"}


def test_texts_are_joined_and_links_shown() -> None:
    result = content(
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        {"type": "resource_link", "name": "readme", "uri": "file:///r"},
        {"type": "resource_link", "uri": "file:///s"},
        {"type": "resource", "resource": {"uri": "x:", "text": "embedded"}},
    )
    assert result.output == "ab[readme](file:///r)file:///s"


def test_nothing_is_said_in_words() -> None:
    assert content().output == "no output"
    assert content(isError=True).is_error


def test_pictures_and_sounds_go_to_readers_and_structure_too() -> None:
    sound = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}
    result = content(image(gif(1, 1)), sound, structuredContent={"a": 1})
    assert result.wire() == {
        "output": "no output",
        "images": [{"data": base64.b64encode(gif(1, 1)).decode(), "mimeType": "image/gif"}],
        "audios": [{"data": "AAAA", "mimeType": "audio/wav"}],
        "structuredContent": {"a": 1},
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("%%%", "damaged"),
        (b"<svg/>", "of a kind that can't be shown: image/x"),
        (png(9_000, 1), "9000x1 pixels"),
        (png(0, 0), "damaged"),
    ],
)
def test_a_picture_that_would_spoil_the_session_becomes_a_remark(data: bytes | str, words: str) -> None:
    result = content(image(data))
    assert result.images == []
    assert words in result.output


def test_a_long_text_is_cut_and_nul_goes() -> None:
    result = content({"type": "text", "text": "é" * MAX_BYTES})
    assert result.output.startswith("é" * (MAX_BYTES // 2) + "\n\n[Output truncated")
    assert content({"type": "text", "text": "a\0b"}).output == "a\ufffdb"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("a", None),
        ("a", {"type": "string"}),
        ("a", {"type": "object", "oneOf": []}),
        ("a", {"anyOf": [{}]}),
        ("", {"type": "object"}),
        ("x" * 129, {"type": "object"}),
    ],
)
def test_a_tool_that_the_api_would_refuse_is_left_out(name: str, schema: Any) -> None:
    assert tool_of({"name": name, "inputSchema": schema}, "", echo) is None


def test_a_tool_is_another_one_when_it_takes_something_else() -> None:
    def revision(**fields: Any) -> str:
        found = tool_of({"name": "a", "inputSchema": {"type": "object"}, **fields}, "p", echo)
        assert found is not None
        assert found.name == "p_a"
        return found.revision

    assert revision() == revision()
    assert len({revision(), revision(description="d"), revision(inputSchema={"type": "object", "x": 1})}) == 3


def test_hints_are_passed_on() -> None:
    hints = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
    found = tool_of({"name": "a", "inputSchema": {}, "annotations": hints, "title": "A"}, "", echo)
    assert found is not None
    assert found.definition()["annotations"] == {
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
        "title": "A",
    }
    assert found.for_model()["input_schema"] == {"type": "object", "properties": {}}
