"""The schemas of events, from the classes that render them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter

from app.conversation import call_events, events, hook_events

Schema = dict[str, Any]

_MODULES: Final = frozenset(module.__name__ for module in (events, call_events, hook_events))


def event_schemas() -> dict[str, Schema]:
    """By the name of the component: one for each type of event."""
    return {f"{kind.__name__.removesuffix('Event')}Event": _schema(kind) for kind in _kinds(events.Event)}


def _kinds(kind: type[events.Event]) -> Iterator[type[events.Event]]:
    for heir in kind.__subclasses__():
        if heir.__module__ in _MODULES:
            yield heir
            yield from _kinds(heir)


def _schema(kind: type[events.Event]) -> Schema:
    told = TypeAdapter(kind).json_schema(mode="serialization")["properties"]
    own = {name: schema for name, schema in told.items() if name not in kind.unsent}
    always = [name for name in own if name not in kind.optional and name != "agent_name"]
    schema: Schema = {
        "type": "object",
        "properties": {
            "type": {"const": kind.type},
            **own,
            "timestamp": {"type": "string", "format": "date-time"},
        },
        "required": ["type", *always, "timestamp"],
    }
    words = inspect.cleandoc(kind.__doc__ or "")
    if not words.startswith(f"{kind.__name__}("):  # a dataclass's own docstring
        schema["description"] = words
    return schema
