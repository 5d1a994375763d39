"""The loader for YAML that strangers wrote: documents of web servers, front matter of skills.

Its result is plain data of bounded size. An alias counts each time it is used, as in agent files, so that ten lines
can't grow into gigabytes.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
import yaml

MAX_BYTES: Final = 10_000_000
MAX_DEPTH: Final = 100
MAX_NODES: Final = 1_000_000
MAX_REPEATED: Final = 100_000
"""Nodes that aliases repeat. A document without aliases may be as large as its text."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ForeignYamlError(Exception):
    """The text is no YAML, or too large, too deep, or grows too much."""


def foreign_yaml(text: str) -> Any:
    """The document as dicts, lists and scalars. Raises ForeignYamlError, and nothing else."""
    if len(text) > MAX_BYTES:
        raise ForeignYamlError(f"it is longer than {MAX_BYTES} characters")
    if (value := _json(text)) is not None:
        return value
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            _count(root)
            return loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ForeignYamlError(str(error)) from error
    except RecursionError as error:
        raise ForeignYamlError(f"it is nested more than {MAX_DEPTH} deep") from error


def _json(text: str) -> Any:
    """The value of a JSON document; None for anything else, also for one that is nested too deeply. The JSON parser is
    faster by far."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    depth = 0
    for number, bracket in enumerate(re.finditer(r"[\[\]{}]", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH or number > MAX_NODES:
            return None
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _check_events(text: str) -> None:
    """Depth and size, before anything is built: libyaml's composer recurses on the C stack."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
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
