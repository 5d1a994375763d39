"""Holds answers against the official SDK's own types. The SDK itself never complains of a field too many or too few."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import TypeAliasType


def complaints(value: object, kind: Any, path: str = "$") -> Iterator[str]:
    """What is wrong with JSON that shall be of an SDK's type; nothing if it is exactly that."""
    if isinstance(kind, TypeAliasType):
        kind = kind.__value__
    origin = get_origin(kind)
    if kind is Any or kind is object:
        return
    if origin is Annotated:
        yield from complaints(value, get_args(kind)[0], path)
    elif origin is Literal:
        if value not in get_args(kind):
            yield f"{path}: {value!r} is not one of {get_args(kind)}"
    elif origin in (Union, types.UnionType):
        yield from _of_union(value, get_args(kind), path)
    elif origin in (list, Sequence):
        yield from _of_list(value, get_args(kind)[0], path)
    elif origin in (dict, Mapping):
        yield from _of_dict(value, get_args(kind)[1], path)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _of_model(value, kind, path)
    else:
        yield from _of_leaf(value, kind, path)


def _of_union(value: object, kinds: Sequence[Any], path: str) -> Iterator[str]:
    """The member that the value's `type` names, else the first that fits."""
    if value is None:
        if type(None) not in kinds:
            yield f"{path}: null is not allowed"
        return
    found = [list(complaints(value, kind, path)) for kind in kinds if kind is not type(None)]
    if not any(one == [] for one in found):
        yield from min(found, key=len)


def _of_list(value: object, item: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: {value!r} is no list"
        return
    for index, one in enumerate(value):
        yield from complaints(one, item, f"{path}[{index}]")


def _of_dict(value: object, item: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    for key, one in value.items():
        yield from complaints(one, item, f"{path}.{key}")


def _of_model(value: object, kind: type[BaseModel], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    takes_more = "__pydantic_extra__" in vars(kind).get("__annotations__", {})
    for key, field in fields.items():
        if key not in value:
            if field.is_required():
                yield f"{path}.{key} is missing"
        else:
            yield from complaints(value[key], field.annotation, f"{path}.{key}")
    if not takes_more:
        yield from (f"{path}.{key} is a key of no {kind.__name__}" for key in value if key not in fields)


def _of_leaf(value: object, kind: Any, path: str) -> Iterator[str]:
    if kind is datetime:
        try:
            right = datetime.fromisoformat(str(value)).tzinfo is not None
        except ValueError:
            right = False
    elif kind is float:
        right = isinstance(value, float | int) and not isinstance(value, bool)
    else:
        right = type(value) is kind or (kind is type(None) and value is None)
    if not right:
        yield f"{path}: {value!r} is no {getattr(kind, '__name__', kind)}"
