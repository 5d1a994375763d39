"""Tools that are Python functions: the signature is the schema, and the docstring is the description, both for the
model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    NotRequired,
    TypedDict,
    TypeVar,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from app.agent.preview import Preview
from app.agent.tools.toolset_bases import PlainToolset
from app.agent.toolset import Handler, Outcome, Tool, ToolContext

Schema = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., Outcome])

_CONTEXT: Final = "context"
_TYPES: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    dict: {"type": "object", "additionalProperties": True},
}


class ToolMarks(TypedDict, total=False):
    """The fields of a Tool that its function does not show. The title is made of the name, unless it is given."""

    title: str
    read_only: bool
    destructive: bool
    in_order: bool
    takes_description: bool
    waits: bool
    read_on: str
    preview: Callable[[Mapping[str, Any], ToolContext], Preview]
    output_schema: Any


def tool(**marks: Unpack[ToolMarks]) -> Callable[[Function], Function]:
    """Marks a function, or a method, as one that `function_tool` makes a tool of.

    Its parameters are `str`, `int`, `bool`, `dict`, Sequences and TypedDicts; a text in `Annotated` describes one, a
    mapping there adds to its schema. One without a default is required, and so is one whose schema tells the model of
    a default. `**others` lets a call bring arguments that are not read. A parameter `context` gets the ToolContext.
    """

    def mark(function: Function) -> Function:
        vars(function)["tool_marks"] = marks
        return function

    return mark


def function_tool(function: Callable[..., Outcome], category: str, **described: str) -> Tool:
    """The tool of a marked function. `described` are the texts of parameters that are not known before there is an
    object."""
    plain: Any = getattr(function, "__func__", function)  # of a method: what was marked
    signature = _signature(plain)
    schema = signature.schema
    if schema is not None and described:
        known = schema["properties"]
        texts = {name: {**known[name], "description": text} for name, text in described.items()}
        schema = {**schema, "properties": {**known, **texts}}
    name: str = plain.__name__
    return Tool(
        name=name,
        category=category,
        description=" ".join((plain.__doc__ or "").split()),
        parameters=schema,
        handler=_handler(function, signature),
        **{"title": name.replace("_", " ").title(), **plain.tool_marks},
    )


class FunctionToolset(PlainToolset):
    """A toolset whose tools are its marked methods, in the order in which they stand."""

    category: ClassVar[str]

    def tools(self) -> Sequence[Tool]:
        return [function_tool(getattr(self, name), self.category) for name in _marked(type(self))]


def arguments_of(kind: type) -> dict[str, set[str]]:
    """The names of the tools that a class's marked methods are, each with those of its arguments."""
    schemas = {name: _signature(method).schema for name, method in _marked(kind).items()}
    return {name: set((schema or {}).get("properties", {})) for name, schema in schemas.items()}


def _marked(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if hasattr(value, "tool_marks")}


def schema_of(hint: Any) -> Schema:
    """The JSON Schema of a type, in the shape that the contract's clients know: objects are closed, and a list may be
    null, as an empty one of the contract's reference implementation is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        schema = schema_of(arguments[0])
        for note in hint.__metadata__:
            schema |= {"description": note} if isinstance(note, str) else note
        return schema
    if origin is UnionType:  # with None, for one that is not given
        return schema_of(arguments[0])
    if origin is Sequence:
        return {"type": ["null", "array"], "items": schema_of(arguments[0])}
    if is_typeddict(hint):
        fields = get_type_hints(hint, include_extras=True)
        optional = {name for name, inner in fields.items() if get_origin(inner) is NotRequired}
        return _closed({name: schema_of(inner) for name, inner in fields.items()}, optional)
    if origin is NotRequired:
        return schema_of(arguments[0])
    return dict(_TYPES[origin or hint])


def _closed(properties: Mapping[str, Schema], optional: set[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if required := [name for name in properties if name not in optional]:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class _Signature:
    schema: Schema | None  # None for a function that takes nothing from the model
    arguments: Sequence[inspect.Parameter]
    takes_context: bool


@cache
def _signature(function: Callable[..., Outcome]) -> _Signature:
    hints = get_type_hints(function, include_extras=True)
    known = inspect.signature(function).parameters
    arguments = [
        one for one in known.values() if one.name not in ("self", _CONTEXT) and one.kind != one.VAR_KEYWORD
    ]
    properties = {one.name: schema_of(hints[one.name]) for one in arguments}
    optional = {
        one.name
        for one in arguments
        if one.default is not one.empty and "default" not in properties[one.name]
    }
    schema = _closed(properties, optional)
    if any(one.kind == one.VAR_KEYWORD for one in known.values()):
        del schema["additionalProperties"]
    return _Signature(schema if properties else None, arguments, _CONTEXT in known)


def _handler(function: Callable[..., Outcome], signature: _Signature) -> Handler:
    """Calls the function with arguments that fit its schema. Null is one that is not given: of those without a
    default only a sequence may be null, and is empty then."""

    def handler(arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        given: dict[str, Any] = {_CONTEXT: context} if signature.takes_context else {}
        for one in signature.arguments:
            value = arguments.get(one.name)
            if value is None and one.default is one.empty:
                value = ()
            if value is not None:
                given[one.name] = value
        return function(**given)

    return handler
