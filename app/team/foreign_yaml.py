"""The loader for YAML that strangers wrote: documents of web servers, front matter of skills.

Its result is plain data of bounded size. An alias counts each time it is used, as in agent files, so that ten lines
can't grow into gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import orjson
import yaml

from app.team.yaml_document import CORE_SCHEMA, finite, whole

MAX_BYTES: Final = 10_000_000
MAX_DEPTH: Final = 100
MAX_NODES: Final = 1_000_000
MAX_REPEATED: Final = 100_000
"""Nodes that aliases repeat. A document without aliases may be as large as its text."""

_MAX_WORDS: Final = 500  # of an error: libyaml repeats what it doesn't know, however long it is
_TAG: Final = "tag:yaml.org,2002:"
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ForeignLoader(_SafeLoader):  # type: ignore[misc]
    """Only what JSON can say: scalars as in agent files, so that a date is text and `1:1:1` no number of base 60, which
    takes quadratic time; keys are text; other tags are errors."""

    yaml_implicit_resolvers = CORE_SCHEMA
    yaml_constructors: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own way of starting without them

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        self.flatten_mapping(node)
        node.value = [(_text_key(key), value) for key, value in node.value]
        return super().construct_mapping(node, deep)


def _text_key(key: yaml.Node) -> yaml.Node:
    if not isinstance(key, yaml.ScalarNode):
        return key
    return yaml.ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark)


def _scalar(convert: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    return lambda loader, node: convert(loader.construct_scalar(node))


for _kind, _constructor in (
    ("null", _SafeLoader.construct_yaml_null),
    ("bool", _SafeLoader.construct_yaml_bool),
    ("int", _scalar(lambda text: int(whole(text)))),
    ("float", _scalar(lambda text: float(finite(text)))),
    ("str", _scalar(lambda text: text.replace("\0", "\ufffd"))),
    ("seq", _SafeLoader.construct_yaml_seq),
    ("map", _SafeLoader.construct_yaml_map),
):
    _ForeignLoader.add_constructor(f"{_TAG}{_kind}", _constructor)
_ForeignLoader.add_constructor(None, _SafeLoader.construct_undefined)


class ForeignYamlError(Exception):
    """The text is no YAML, or too large, too deep, or grows too much."""


def foreign_yaml(text: str) -> Any:
    """The document as dicts, lists, texts, finite numbers, booleans and None; there is no NUL in a text. Raises
    ForeignYamlError, and nothing else."""
    if len(text) > MAX_BYTES:
        raise ForeignYamlError(f"it is longer than {MAX_BYTES} characters")
    if (value := _json(text)) is not None:
        return value
    try:
        _check_events(text)
        loader = _ForeignLoader(text)
        try:
            root = loader.get_single_node()
            _count(root)
            return loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ForeignYamlError(str(error)[:_MAX_WORDS]) from error
    except RecursionError as error:
        raise ForeignYamlError(f"it is nested more than {MAX_DEPTH} deep") from error


def _json(text: str) -> Any:
    """The value of a JSON document; None for anything else, also for one that is nested too deeply. The JSON parser is
    faster by far, and reads JSON that YAML does not: half of a pair of escapes each."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    depth = 0
    for number, bracket in enumerate(re.finditer(r"[\[\]{}]", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH or number > MAX_NODES:
            return None
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return _without_nul(value) if "\\u0000" in text else value


def _without_nul(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _check_events(text: str) -> None:
    """Depth and size, before anything is built: libyaml's composer recurses on the C stack."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_ForeignLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise ForeignYamlError(f"it is nested more than {MAX_DEPTH} deep")
        if nodes > MAX_NODES:
            raise ForeignYamlError(f"it has more than {MAX_NODES} values")


def _count(root: yaml.Node | None) -> None:
    """Refuses aliases that grow too much, or that lead back into themselves; `<<` copies what it names.

    The sizes of shared nodes are worked out once, so the check takes as long as the text, not as its growth.
    """
    sizes: dict[int, int] = {}
    repeated = 0

    def size(node: yaml.Node) -> int:
        nonlocal repeated
        known = sizes.get(id(node))
        if known == 0:
            raise ForeignYamlError("an alias names what it lies in")
        if known is not None:
            repeated += known
            if repeated > MAX_REPEATED:
                raise ForeignYamlError(f"its aliases repeat more than {MAX_REPEATED} values")
            return known
        sizes[id(node)] = 0
        children = _children(node)
        sizes[id(node)] = 1 + sum(map(size, children))
        if sizes[id(node)] > MAX_NODES:
            raise ForeignYamlError(f"it has more than {MAX_NODES} values")
        return sizes[id(node)]

    if root is not None:
        size(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
