"""Messages of tool servers, turned into tools and results that the model's API takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.agent.tools.mcp.results import MAX_BYTES, result_of, tool_of
from app.agent.toolset import ToolResult
from tests.agent.stage import echo
from tests.agent.tools.pictures import data_uri, drawn, gif, png


def content(*parts: dict[str, Any], **more: Any) -> ToolResult:
    return result_of({"content": list(parts), **more})


def image(data: bytes | str) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    return {"type": "image", "data": encoded, "mimeType": "image/x"}


WRAPPED = base64.encodebytes(drawn(60, 60)).decode()


@pytest.mark.parametrize(
    "written",
    [
        WRAPPED,
        WRAPPED.replace("\n", "\r\n"),
        f"  {WRAPPED}  ",
        data_uri(drawn(60, 60)),
        f"data:image/png;base64,\n{WRAPPED}",
        f"DATA:image/png;charset=utf-8;base64,{WRAPPED}",
        data_uri(drawn(60, 60)).replace("+", "%2B").replace("/", "%2F", 3).replace("=", "%3D"),
        base64.urlsafe_b64encode(drawn(60, 60)).decode(),
        base64.b64encode(drawn(60, 60)).decode().rstrip("="),
        base64.urlsafe_b64encode(drawn(60, 60)).decode().rstrip("="),
    ],
)
def test_a_picture_is_read_however_its_base64_is_written(written: str) -> None:
    [(kind, data)] = content(image(written)).images
    assert (kind, base64.b64decode(data, validate=True)) == ("image/png", drawn(60, 60))


def test_texts_are_joined_and_links_shown() -> None:
    result = content(
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        {"type": "resource_link", "name": "readme", "uri": "file:///r"},
        {"type": "resource_link", "uri": "file:///s"},
        {"type": "resource", "resource": {"uri": "x:", "text": "embedded"}},
    )
    assert result.output == "ab[readme](file:///r)file:///s\n[resource: x:]\nembedded"


def test_nothing_is_said_in_words() -> None:
    assert content().output == "no output"
    assert content(isError=True).is_error


def resource(**fields: Any) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": "db://1", **fields}}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (resource(text="SELECT 1"), "[resource: db://1]\nSELECT 1"),
        (resource(text="", mimeType="text/x"), "[resource: db://1, text/x]\n"),
        (
            resource(blob=b64(b'{"a": 1}'), mimeType="application/json"),
            '[resource: db://1, application/json]\n{"a": 1}',
        ),
        (
            resource(blob=b64(b"%PDF-1.7....."), mimeType="application/pdf"),
            "[a resource that can't be shown: db://1, application/pdf, about 15 bytes]",
        ),
        (
            resource(blob=b64(b"\xff\xfe"), mimeType="text/plain"),
            "[a resource that can't be shown: db://1, text/plain, about 3 bytes]",
        ),
        (resource(), "[a resource without content: db://1]"),
        (
            resource(blob="%%%", mimeType="image/png"),
            "[resource: db://1, image/png]\n[a picture that is damaged]",
        ),
        ({"type": "resource"}, "[content of a kind that is not known here, 'resource']"),
        (
            {
                "type": "resource_link",
                "name": "r",
                "uri": "f:/r",
                "mimeType": "text/x",
                "description": "Read it.",
            },
            "[r](f:/r), text/x, Read it.",
        ),
        (
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
            "[a sound, which only people can hear: audio/wav]",
        ),
        ({"type": "video", "data": "AAAA"}, "[content of a kind that is not known here, 'video']"),
        ({"type": "html", "text": "<p>"}, "[content of a kind that is not known here, 'html']<p>"),
        ("only words", "only words"),
        (7, "[content of no kind]"),
        ({"text": "no type"}, "[content of no kind]"),
        (
            {"type": "text", "text": "for people", "annotations": {"audience": ["user"], "priority": 0}},
            "for people",
        ),
    ],
)
def test_everything_reaches_the_model_or_is_named_to_it(part: Any, words: str) -> None:
    assert content(part).output == words


def test_a_picture_in_a_resource_is_shown() -> None:
    result = content(resource(blob=b64(png(2, 2)), mimeType="image/png"))
    assert result.images == [("image/png", b64(png(2, 2)))]
    assert result.output == "[resource: db://1, image/png]"


@pytest.mark.parametrize(
    ("texts", "structured", "words"),
    [
        ([], {"rows": [1, "é"]}, '{"rows": [1, "é"]}'),
        ([], {}, "{}"),
        ([], [1, 2], "[1, 2]"),
        (["2 rows"], {"rows": [1, 2]}, '2 rows\n{"rows": [1, 2]}'),
        (['{"rows":  [1, 2]}'], {"rows": [1, 2]}, '{"rows":  [1, 2]}'),
        (["again"], {"result": "again"}, "again"),
        (["7"], {"result": 7}, "7"),
        (["a", "b"], {"result": ["a", "b"]}, "ab"),
        (["1", "2"], {"result": [1, 2]}, "12"),
        (["fine"], None, "fine"),
        ([], {"half": "\ud800\0", "n": float("nan")}, '{"half": "?\ufffd", "n": "nan"}'),
    ],
)
def test_structured_content_reaches_the_model_unless_the_texts_say_the_same(
    texts: list[str], structured: Any, words: str
) -> None:
    parts = [{"type": "text", "text": text} for text in texts]
    assert content(*parts, structuredContent=structured).output == words


def test_structured_content_that_can_not_be_stored_is_for_the_model_only() -> None:
    result = content(structuredContent={"n": 10**30})
    assert result.output == '{"n": 1e+30}'
    assert result.structured is None


@pytest.mark.parametrize("answer", [{"content": "words"}, {"content": {"type": "text", "text": "words"}}])
def test_content_that_is_no_list_is_read_too(answer: dict[str, Any]) -> None:
    assert result_of(answer).output == "words"


def test_pictures_and_sounds_go_to_readers_and_structure_too() -> None:
    sound = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}
    result = content(image(gif(1, 1)), sound, structuredContent={"a": 1})
    assert result.wire() == {
        "output": '[a sound, which only people can hear: audio/wav]\n{"a": 1}',
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


def test_a_tool_is_another_one_when_it_takes_something_else() -> None:
    def revision(**fields: Any) -> str:
        found = tool_of({"name": "a", "inputSchema": {"type": "object"}, **fields}, "p", echo)
        assert found.name == "p_a"
        return found.revision

    assert revision() == revision()
    assert len({revision(), revision(description="d"), revision(inputSchema={"type": "object", "x": 1})}) == 3


def test_hints_are_passed_on() -> None:
    hints = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
    found = tool_of({"name": "a", "inputSchema": {}, "annotations": hints, "title": "A"}, "", echo)
    assert found.definition()["annotations"] == {
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
        "title": "A",
    }
    assert found.for_model()["input_schema"] == {"type": "object", "properties": {}}
