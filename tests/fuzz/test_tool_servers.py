"""The messages of a tool server: its lines, its tools, and the results of its calls, as they come."""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp_types import JSONRPCRequest

from anthropic_standin.rules.tool_definitions import _check_schema
from app.agent.tool_normalizing import fit
from app.agent.tools.mcp.json_rpc import JsonRpcMessages
from app.agent.tools.mcp.results import MAX_BYTES, MAX_MEDIA, result_of, tool_of
from app.agent.tools.schemas.normalizing import UnusableSchema, fitted
from app.agent.toolset import ToolResult
from app.event_encoder import _dumps as encoded
from tests.fuzz.limits import LARGE, bounded, joined, tries

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


KEYWORDS: Final = (
    *("type", "properties", "required", "items", "prefixItems", "additionalItems", "additionalProperties"),
    *(
        "enum",
        "const",
        "default",
        "examples",
        "nullable",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "multipleOf",
    ),
    *(
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
    ),
    *("$ref", "$defs", "definitions", "$id", "$schema", "description", "title", "format", "pattern"),
    *("minLength", "maxItems", "uniqueItems", "readOnly", "extends", "divisibleBy", "patternProperties"),
)
WORDS: Final = (
    *(
        "object",
        "string",
        "array",
        "any",
        "int",
        "STRING",
        "string|null",
        "array<int>",
        "#",
        "#/definitions/a",
    ),
    *("#/$defs/a", "#/properties/a", "true", "1", "a", "a b", "$a", "filter[x]", "x" * 70, "", "\ud800"),
)
KEYS = st.sampled_from((*KEYWORDS, *WORDS))
ODD_SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from((*WORDS, 10**30, 1.5, float("nan"))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=12,
)


def is_for_the_api(schema: dict[str, Any]) -> None:
    """By the draft's own schema, and by the stand-in's rules."""
    Draft202012Validator.check_schema(schema)
    _check_schema(orjson.loads(orjson.dumps(schema)), "input_schema")


@tries(120)
@given(
    st.dictionaries(st.sampled_from(KEYWORDS), ODD_SCHEMAS, max_size=6), st.dictionaries(KEYS, ODD_SCHEMAS)
)
@example({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, {})
@example({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}}, {})
@example({"properties": {"a": nested(300)}}, {"a": nested(300)})
@example({"properties": {f"a b {number}": {} for number in range(3_000)}}, {})
@example({"properties": {"a": {"$ref": "#"}, "a b": {"$ref": "#"}}}, {"a_b": {"a_b": {"a_b": 1}}})
def test_a_schema_is_fit_for_the_api_or_its_tool_is_left_out(
    schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    with bounded():
        try:
            found = fitted(schema)
        except UnusableSchema as problem:
            str(problem).encode()
            return
        found.restored(arguments)
    is_for_the_api(found.schema)


@tries(250)
@given(TOOLS, st.sampled_from(("", "server")))
@example({"name": "a", "inputSchema": {"type": "object", "maximum": 10**30}}, "")
@example({"name": "a", "inputSchema": {"type": "object", "default": "\ud800"}}, "")
@example({"name": "a", "inputSchema": {"type": "object", "a": nested(300)}}, "")
@example({"name": "a", "description": "\ud800", "inputSchema": {"type": "object"}}, "")
def test_each_tool_that_is_offered_can_be_sent(described: dict[str, Any], prefix: str) -> None:
    with bounded():
        try:
            tool = fit(tool_of(described, prefix, lambda _arguments, _context: ToolResult("")))
        except UnusableSchema:
            return
    orjson.dumps(tool.for_model())
    encoded(tool.definition())
    assert 0 < len(tool.name) <= 128


def test_a_tool_that_is_nested_deeper_than_hypothesis_can_print_is_refused() -> None:
    described = {"name": "a", "inputSchema": {"type": "object", "a": nested(900)}}
    with bounded(), pytest.raises(UnusableSchema):
        fit(tool_of(described, "", lambda _arguments, _context: ToolResult("")))


@tries(250)
@given(
    st.one_of(RESULTS, st.dictionaries(st.sampled_from(("content", "isError", "structuredContent")), VALUES))
)
@example({"content": [], "structuredContent": {"a": 10**30, "b": "\ud800"}})
@example({"content": [], "structuredContent": nested(300)})
@example({"content": [{"type": "text", "text": "\ud800\0"}]})
@example({"content": [{"type": "text", "text": "é"}] * LARGE})
@example({"content": [{"type": "resource_link", "uri": "a:b"}] * (LARGE // 10)})
def test_each_result_can_be_sent_and_has_a_bound(raw: dict[str, Any]) -> None:
    with bounded():
        result = result_of(raw)
        encoded(result.wire())
    assert len(result.output.encode()) <= MAX_BYTES + 100
    assert "\0" not in result.output


PIECES: Final = (
    *(
        '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}',
        '{"jsonrpc":"2.0",',
        '"id":',
        "1",
        "2",
        "null",
        "true",
    ),
    *('"result":', "{}", "[]", "{", "}", "[", "]", '"error":', '"code"', '"method":', '"a"', ",", ":", '"'),
    *("\\ud800", "\ufeff", "\x1b[0m", "log ", "9" * 50, "NaN", "\0", "\r"),
)


@tries(120)
@given(joined(PIECES, most=20))
@example("[" * LARGE)
@example('{"a":' * LARGE)
@example('{"' * LARGE)
@example('{"jsonrpc":"2.0","id":1,"result":' + "[" * 5000)
@example('{"jsonrpc":"2.0","id":1,"result":{"a":' + "9" * LARGE + "}}")
def test_whatever_a_line_says_it_is_messages_or_noise(line: str) -> None:
    messages = JsonRpcMessages("a server")
    messages.sent(JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call"))
    with bounded():
        found = messages.heard(line)
        for message in found:
            message.model_dump_json()


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_pictures_and_sounds_of_a_result_have_a_bound_together(kind: str) -> None:
    data = base64.b64encode(base64.b64decode(PNG) + b"x" * 3_000_000).decode()
    with bounded():
        result = result_of({"content": [{"type": kind, "data": data, "mimeType": "x/y"}] * 20})
    assert sum(len(one[1]) for one in (*result.images, *result.audios)) <= MAX_MEDIA
    assert len((*result.images, *result.audios)) == 2
    assert result.output.count("left out") == 18
