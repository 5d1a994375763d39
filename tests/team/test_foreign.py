"""YAML of strangers: they are read as ever, and cost no more than their length."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.agent.tools.openapi_document import InvalidDocument, operations, parse
from app.team.foreign_yaml import MAX_DEPTH, ForeignYamlError, foreign_yaml

LEVELS = range(1, 12)
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in LEVELS
)
MERGES = "a0: &a0 {k: x}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}], k{level}: 1}}\n" for level in LEVELS
)


@contextmanager
def little_memory() -> Iterator[None]:
    """Half a gigabyte more than the process has, at most."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 29), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        MERGES,
        "[" * 100_000,
        "{a: " * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
        "- " * 5_000 + "x",
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: &a {<<: *a}",
        "!!python/object/apply:os.system [ls]",
        "a: [",
        "? {a: b}\n: c",
        "a: !!timestamp 2024-13-45",
        "a: !!int x",
        "a: !!binary é",
        "\0",
        "x" * 10_000_001,
    ],
    ids=lambda text: text[:20],
)
def test_what_grows_or_is_no_yaml_is_refused_in_little_memory(text: str) -> None:
    with little_memory(), pytest.raises(ForeignYamlError):
        foreign_yaml(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1", {"a": 1}),
        ('{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        ("a: &a {k: 1}\nb: {<<: *a, c: *a}", {"a": {"k": 1}, "b": {"k": 1, "c": {"k": 1}}}),
    ],
)
def test_plain_documents_are_read(text: str, value: object) -> None:
    assert foreign_yaml(text) == value


def test_an_openapi_document_that_grows_is_refused() -> None:
    with little_memory(), pytest.raises(InvalidDocument):
        parse(f"openapi: 3.0.0\n{BOMB}")


def test_references_that_multiply_grow_no_further_than_their_bound() -> None:
    """Each schema has a hundred properties of the next one: a hundred million in all."""
    schemas = {
        f"s{level}": {
            "properties": {f"p{n}": {"$ref": f"#/components/schemas/s{level + 1}"} for n in range(100)}
        }
        for level in range(5)
    }
    operation = {
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/s0"}}}}
    }
    paths = {f"/{n}": {"post": operation} for n in range(5)}
    document = {"openapi": "3.0.0", "components": {"schemas": schemas}, "paths": paths}
    with little_memory():
        found = operations(parse(json.dumps(document)), "http://api.example")
    assert len(found) == 5


def test_what_is_nested_deeply_is_refused_as_json_too() -> None:
    for text in ('{"a": ' * 500 + "1" + "}" * 500, "[" * 200 + "]" * 200):
        with pytest.raises(ForeignYamlError):
            foreign_yaml(text)
