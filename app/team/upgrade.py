"""Older versions of the agent file become the newest, one version at a time.

The steps change the parsed document in place and keep the places of what they move, so an error in an old
file points into the old file. Fields that came with a later version are accepted in an older one. Fields that
a later version dropped are refused with a sentence, unless what they meant can still be said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.team.problems import FieldFinding
from app.team.yaml_document import Items, SourcePosition, Table

NEWEST = "16"

_NO_ENVIRONMENT = "is not supported any more; set the variables where the server is started"


def upgrade(data: Table) -> Iterator[FieldFinding]:
    """Takes the document to the newest version; yields what can't be carried over."""
    version = NEWEST if data.get("version") in (None, "") else str(data["version"])
    versions = [str(number) for number in range(len(_STEPS) + 1)]
    if version not in versions:
        text = f"unsupported config version: {version} (valid versions: {', '.join(versions)})"
        yield FieldFinding(("version",), text)
        return
    for step in _STEPS[int(version) :]:
        yield from step(data)


def _to_1(data: Table) -> Iterator[FieldFinding]:
    """Models had a `type`; `todo`, `think` and `memory` were fields of the agent, and so was its name."""
    for model in _tables(data.get("models")):
        _rename(model, "type", "provider")
    for agent in _tables(data.get("agents")):
        agent.pop("name", None)
        switched_on = list(_switched_on(agent))
        if switched_on:
            _prepend(agent, switched_on)
    yield from ()


def _to_2(data: Table) -> Iterator[FieldFinding]:
    """Environments could be written into the file; a zero meant that nothing was set."""
    if _is_filled(data, "env"):
        yield FieldFinding(("env",), _NO_ENVIRONMENT)
    for name, model in _named_tables(data.get("models")):
        if _is_filled(model, "env"):
            yield FieldFinding(("models", name, "env"), _NO_ENVIRONMENT)
        for field in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
            _drop_zero(model, field)
    for name, index, toolset in _toolsets(data):
        if _is_filled(toolset, "env_file"):
            path = ("agents", name, "toolsets", index, "env_file")
            yield FieldFinding(path, "is not supported any more; name the variables in env")


def _to_3(data: Table) -> Iterator[FieldFinding]:
    """A source's description moved to the tool that searches it; `max_tokens: 0` meant the default."""
    for model in _tables(data.get("models")):
        _drop_zero(model, "max_tokens")
    for source in _tables(data.get("rag")):
        if "description" in source:
            place = source.places["description"]
            tool = Table()
            tool.put("description", source.pop("description"), place)
            source.put("tool", tool, place)
    yield from ()


def _unchanged(_data: Table) -> Iterator[FieldFinding]:
    """This step only added fields."""
    yield from ()


def _to_6(data: Table) -> Iterator[FieldFinding]:
    """The shell's sandbox went away. It is not dropped silently: commands would run unconfined."""
    for name, index, toolset in _toolsets(data):
        if _is_filled(toolset, "sandbox"):
            path = ("agents", name, "toolsets", index, "sandbox")
            yield FieldFinding(path, "is not supported any more; without this field, commands run unconfined")


_STEPS = (_to_1, _to_2, _to_3, _unchanged, _unchanged, _to_6, *[_unchanged] * 10)


def _switched_on(agent: Table) -> Iterator[tuple[Table, SourcePosition]]:
    """Toolsets for what was a switch, in the order in which they used to be added."""
    for field in ("todo", "think", "memory"):
        if field not in agent:
            continue
        value, place = agent.pop(field), agent.places[field]
        if value is None or value is False or (field == "memory" and not value.get("path")):
            continue
        toolset = Table()
        toolset.put("type", field, place)
        if isinstance(value, Table):
            for key, inner in value.items():
                toolset.put(key, inner, value.places[key])
        yield toolset, place


def _prepend(agent: Table, toolsets: list[tuple[Table, SourcePosition]]) -> None:
    old = agent.get("toolsets")
    items = Items()
    for toolset, place in toolsets:
        items.add(toolset, place)
    if isinstance(old, Items):
        for value, place in zip(old, old.places, strict=True):
            items.add(value, place)
    agent.put("toolsets", items, agent.places.get("toolsets", toolsets[0][1]))


def _is_filled(table: Table, field: str) -> bool:
    """Whether a field that went away says something; if it doesn't, it is taken out."""
    if table.get(field):
        return True
    table.pop(field, None)
    return False


def _rename(table: Table, old: str, new: str) -> None:
    if old in table:
        table.put(new, table.pop(old), table.places[old])


def _drop_zero(table: Table, field: str) -> None:
    if table.get(field) == 0 and table.get(field) is not False:
        del table[field]


def _named_tables(data: Any) -> Iterator[tuple[str, Table]]:
    if isinstance(data, Table):
        yield from ((name, value) for name, value in data.items() if isinstance(value, Table))


def _tables(data: Any) -> Iterator[Table]:
    yield from (table for _, table in _named_tables(data))


def _toolsets(data: Table) -> Iterator[tuple[str, int, Table]]:
    for name, agent in _named_tables(data.get("agents")):
        toolsets = agent.get("toolsets")
        if isinstance(toolsets, Items):
            yield from ((name, index, item) for index, item in enumerate(toolsets) if isinstance(item, Table))
