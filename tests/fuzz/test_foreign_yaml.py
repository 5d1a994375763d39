"""YAML and JSON of strangers, and what is made of it: OpenAPI documents and the front matter of skills."""

from __future__ import annotations

import datetime
import itertools
import json
import math
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.tools import openapi_document
from app.agent.tools.openapi_document import InvalidDocument
from app.agent.tools.skill_head import front_matter
from app.team.foreign_yaml import MAX_NODES, MAX_REPEATED, ForeignYamlError, foreign_yaml
from tests.fuzz.limits import LARGE, bounded, joined, large, tries

TOKENS = (
    *(
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        ": ",
        "a",
        "b",
        "&a ",
        "*a",
        "&b ",
        "*b",
        "<<: *a",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
    ),
    *(
        "'",
        '"',
        "|\n  ",
        ">-\n  ",
        "!!binary ",
        "!!set ",
        "!!timestamp ",
        "!!python/object:os.system ",
        "!x ",
    ),
    *("!!omap ", "!!pairs ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ", "!!merge ", "!!value "),
    *(
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "%TAG ! x\n",
        "# c",
        "\t",
        "\0",
        "\ufeff",
        "\u2028",
        "\ud800",
        "é",
        "=",
    ),
    *(
        "2024-01-01",
        "2024-13-41",
        "1:2:3",
        ":1",
        "0x",
        "1_0",
        ".inf",
        ".nan",
        "1e9",
        "0b1",
        "~",
        "yes",
        "9" * 30,
    ),
)
TEXTS = st.one_of(joined(TOKENS), st.text(max_size=100), large(TOKENS))

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLAIN: Final = (str, int, float, bool, type(None))


def assert_plain(value: Any) -> None:
    """Only values that JSON can say, with any scalar as a key."""
    waiting, seen = [value], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        assert seen <= MAX_NODES + MAX_REPEATED
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            assert all(isinstance(key, str) for key in one)
            waiting += one.values()
        else:
            assert type(one) in PLAIN, type(one)
            assert not isinstance(one, float) or math.isfinite(one)
            assert not isinstance(one, int) or abs(one) < 2**64
            assert not isinstance(one, str) or not any("\ud800" <= character <= "\udfff" for character in one)


@tries(250)
@given(TEXTS)
@example("!!int " + "1" + ":1" * (LARGE * 4))
@example("1" + ":1" * (LARGE * 4))
@example("a: 2024-01-01\nb: !!binary aGk=\nc: !!set {x}")
@example("[" * LARGE)
@example("{a: " * LARGE)
@example("? " * LARGE)
@example("- " * LARGE)
@example("!" + "x" * LARGE + " a")
def test_any_text_gives_plain_data_or_the_loaders_own_error(text: str) -> None:
    with bounded():
        try:
            value = foreign_yaml(text)
        except ForeignYamlError as error:
            words = str(error)
        else:
            words = ""
            assert_plain(value)
            orjson.dumps(value)
    assert len(words) < 2000


def with_marks(value: Any) -> Any:
    """For each NUL, as texts of strangers are kept."""
    if isinstance(value, dict):
        return {with_marks(key): with_marks(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_marks(inner) for inner in value]
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@tries(80)
@given(JSON_VALUES)
@example(["\0", "\U0001f600"])
@example({"\0": None})
def test_json_is_read_as_json(value: Any) -> None:
    text = json.dumps(value)
    try:
        expected = with_marks(orjson.loads(text))
    except ValueError:
        return
    with bounded():
        try:
            found = foreign_yaml(text)
        except ForeignYamlError:
            assert not isinstance(expected, dict | list)
            return
    if isinstance(expected, dict | list):
        assert found == expected


def test_a_date_is_text() -> None:
    assert foreign_yaml("a: 2024-01-01") == {"a": "2024-01-01"}
    assert not isinstance(foreign_yaml("a: 2024-01-01")["a"], datetime.date)


def test_aliases_within_their_bounds_are_kept() -> None:
    assert foreign_yaml("a: &x {k: 1}\nb: {<<: *x, m: 2}") == {"a": {"k": 1}, "b": {"k": 1, "m": 2}}


@tries(150)
@given(st.one_of(TEXTS, joined(TOKENS).map(lambda text: f"---\nname: a\n{text}\n---\nwords")))
@example("---\n" * LARGE)
@example("---\n" + "a: &a [b]\n" + "c: *a\n" * 1000 + "\n---")
def test_front_matter_is_a_mapping_whatever_stands_there(text: str) -> None:
    with bounded():
        assert isinstance(front_matter(text), dict)


WORDS = st.sampled_from(
    ("", "a", "b", "#/components/schemas/A", "#/paths", "path", "query", "{a}", "http://[", "/x")
)
LEAVES = st.one_of(WORDS, st.none(), st.booleans(), st.integers(-2, 2), st.text(max_size=4))
KEYS = st.sampled_from(
    (
        *(
            "$ref",
            "schema",
            "properties",
            "required",
            "type",
            "in",
            "name",
            "description",
            "content",
            "servers",
        ),
        *("url", "application/json", "variables", "default", "summary", "operationId", "parameters"),
        *("requestBody", "a", "get"),
    )
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def often(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly a fitting value, sometimes anything else."""
    return st.one_of(likely, likely, likely, ANYTHING)


SCHEMA = often(
    st.fixed_dictionaries(
        {}, optional={"type": WORDS, "properties": ANYTHING, "required": ANYTHING, "$ref": WORDS}
    )
)
SERVERS = often(
    st.lists(st.fixed_dictionaries({"url": often(WORDS)}, optional={"variables": ANYTHING}), max_size=2)
)
PARAMETER = often(
    st.fixed_dictionaries(
        {"name": often(WORDS), "in": often(WORDS)}, optional={"schema": SCHEMA, "required": LEAVES}
    )
)
OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "operationId": often(WORDS),
        "summary": ANYTHING,
        "parameters": often(st.lists(PARAMETER, max_size=3)),
        "requestBody": often(
            st.fixed_dictionaries(
                {
                    "content": st.fixed_dictionaries(
                        {"application/json": ANYTHING | st.builds(lambda schema: {"schema": schema}, SCHEMA)}
                    )
                }
            )
        ),
        "servers": SERVERS,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"openapi": st.just("3.1.0")},
    optional={
        "paths": often(
            st.dictionaries(
                st.sampled_from(("/a/{a}", "/", "", "//x", "b")),
                often(
                    st.dictionaries(
                        st.sampled_from((*openapi_document.METHODS, "parameters")), OPERATION, max_size=3
                    )
                ),
                max_size=3,
            )
        ),
        "components": often(st.fixed_dictionaries({"schemas": st.fixed_dictionaries({"A": SCHEMA})})),
        "servers": SERVERS,
    },
)
ADDRESS: Final = "https://example.com/openapi.json"


@tries(300)
@given(DOCUMENTS)
@example({"openapi": "3.0", "paths": {"/a": {"get": {"parameters": [{"in": [], "name": "x"}]}}}})
@example({"openapi": "3.0", "paths": {"/a": {"get": {}}}, "servers": [{"url": "http://["}]})
def test_a_document_gives_operations_that_can_be_offered(document: dict[str, Any]) -> None:
    with bounded():
        try:
            found = openapi_document.operations(openapi_document.parse(json.dumps(document)), ADDRESS)
        except InvalidDocument:
            return
    for operation in found:
        assert 0 < len(operation.name) <= 64
        orjson.dumps(operation.parameters)
        assert set(operation.parameters.get("required", ())) <= set(operation.parameters["properties"])
        required = operation.parameters.get("required", ())
        assert len(required) == len(set(required))


@pytest.mark.parametrize("default", ["{b}{b}", "x" * 10_000])
def test_variables_of_a_servers_address_do_not_multiply(default: str) -> None:
    names = [f"v{number}" for number in range(100)]
    variables = {name: {"default": f"{{{after}}}" * 2} for name, after in itertools.pairwise(names)}
    variables[names[-1]] = {"default": default}
    servers = [{"url": "{v0}" * 10_000, "variables": variables}]
    paths: dict[str, Any] = {f"/{number}": {"get": {}} for number in range(1000)}
    document = {"openapi": "3.0", "servers": servers, "paths": paths}
    with bounded(), pytest.raises(InvalidDocument):
        openapi_document.operations(document, ADDRESS)


@tries(40)
@given(TEXTS)
def test_any_text_is_a_document_or_none(text: str) -> None:
    with bounded():
        try:
            document = openapi_document.parse("openapi: 3.0\n" + text)
            openapi_document.operations(document, ADDRESS)
        except InvalidDocument:
            return


def test_references_do_not_add_up_to_more_depth_than_a_request_can_have() -> None:
    def deep(inside: Any) -> Any:
        for _ in range(90):
            inside = {"properties": {"a": inside}} if len(str(inside)) % 2 else {"a": inside}
        return inside

    schemas = {"A": deep({"$ref": "#/components/schemas/B"}), "B": deep({"$ref": "#/components/schemas/C"})}
    schemas["C"] = deep({})
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}
    document = {"paths": {"/": {"post": {"requestBody": body}}}, "components": {"schemas": schemas}}
    (operation,) = openapi_document.operations(document, ADDRESS)
    orjson.dumps(operation.parameters)
