"""What a tool server says: its tools, and the results of its calls, as the mcp package lets them through."""

from __future__ import annotations

import base64
from typing import Any, Final

import mcp_types as types
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.agent.tools.mcp.connection import _json
from app.agent.tools.mcp.results import MAX_BYTES, MAX_MEDIA, result_of, tool_of
from app.agent.toolset import ToolResult
from app.runtime.event_encoder import _dumps as encoded
from tests.fuzz.limits import LARGE, bounded, tries

TEXT = st.one_of(st.text(max_size=10), st.sampled_from(("", "\0", "\ud800", "é" * 10, "\u202e")))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01").decode()
DATA = st.one_of(TEXT, st.just(PNG), st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()))
CONTENT = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
    st.fixed_dictionaries({"type": st.sampled_from(("image", "audio")), "data": DATA, "mimeType": TEXT}),
    st.fixed_dictionaries({"type": st.just("resource_link"), "uri": st.just("a:b"), "name": TEXT}),
    st.dictionaries(st.sampled_from(("type", "text", "uri", "name", "data")), VALUES),
)
RESULTS = st.fixed_dictionaries(
    {"content": st.lists(CONTENT, max_size=4)},
    optional={"isError": st.booleans(), "structuredContent": st.dictionaries(TEXT, VALUES), "_meta": VALUES},
)
SCHEMAS = st.one_of(
    VALUES,
    st.dictionaries(TEXT, VALUES),
    st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(TEXT, VALUES)}),
)
TOOLS = st.fixed_dictionaries(
    {"name": TEXT, "inputSchema": SCHEMAS},
    optional={
        "description": TEXT,
        "title": TEXT,
        "outputSchema": SCHEMAS,
        "annotations": st.fixed_dictionaries({}, optional={"title": TEXT, "readOnlyHint": st.booleans()}),
    },
)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@tries(250)
@given(TOOLS, st.sampled_from(("", "server")))
@example({"name": "a", "inputSchema": {"type": "object", "maximum": 10**30}}, "")
@example({"name": "a", "inputSchema": {"type": "object", "default": "\ud800"}}, "")
@example({"name": "a", "inputSchema": {"type": "object", "a": nested(300)}}, "")
@example({"name": "a", "description": "\ud800", "inputSchema": {"type": "object"}}, "")
def test_each_tool_that_is_offered_can_be_sent(described: dict[str, Any], prefix: str) -> None:
    with bounded():
        try:
            came = _json(types.Tool.model_validate(described))
        except (ValidationError, ValueError):  # the package's part
            return
        tool = tool_of(came, prefix, lambda _arguments, _context: ToolResult(""))
    if tool is not None:
        orjson.dumps(tool.for_model())
        encoded(tool.definition())
        assert 0 < len(tool.name) <= 128


@tries(250)
@given(RESULTS)
@example({"content": [], "structuredContent": {"a": 10**30, "b": "\ud800"}})
@example({"content": [], "structuredContent": nested(300)})
@example({"content": [{"type": "text", "text": "\ud800\0"}]})
@example({"content": [{"type": "text", "text": "é"}] * LARGE})
def test_each_result_can_be_sent_and_has_a_bound(raw: dict[str, Any]) -> None:
    with bounded():
        try:
            came = _json(types.CallToolResult.model_validate(raw))
        except (ValidationError, ValueError):
            return
        result = result_of(came)
        encoded(result.wire())
    assert len(result.output.encode()) <= MAX_BYTES + 100
    assert "\0" not in result.output


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_pictures_and_sounds_of_a_result_have_a_bound_together(kind: str) -> None:
    data = base64.b64encode(base64.b64decode(PNG) + b"x" * 3_000_000).decode()
    with bounded():
        result = result_of({"content": [{"type": kind, "data": data, "mimeType": "x/y"}] * 20})
    assert sum(len(one[1]) for one in (*result.images, *result.audios)) <= MAX_MEDIA
    assert len((*result.images, *result.audios)) == 2
    assert result.output.count("left out") == 18
