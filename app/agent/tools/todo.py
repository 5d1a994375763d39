"""The `todo` toolset: a list of what is to be done, kept with the session."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.agent.tools.parameters import Schema, listing, parameters, text, texts
from app.agent.toolset import Handler, Tool, ToolContext, ToolFailed, ToolResult, string, strings

MAX_TODOS: Final = 200
MAX_CHARACTERS: Final = 2_000  # of one description: every answer repeats them all

_TODO: Final = parameters(
    {
        "id": text("ID of the todo"),
        "description": text("What is to be done"),
        "status": text("pending, in-progress or completed"),
    }
)
_STATUSES: Final = ("pending", "in-progress", "completed")
_STATUS: Final = {"type": "string", "description": "How far it is", "enum": list(_STATUSES)}
_UPDATE: Final = parameters({"id": text("ID of the todo"), "status": _STATUS})
_REMINDER: Final = text("What is not completed yet")
_ALL: Final = listing(_TODO, "All todos")


class TodoToolset:
    """The list of one agent in one session; one that is shared belongs to all agents that work on the session,
    also on tasks given away. No list goes beyond a session: others' plans are none of its business."""

    instructions = (
        "Keep track of work that has several steps: note the steps with create_todos before you begin, set "
        "one to in-progress when you turn to it and to completed as soon as it is done, and look at the list "
        "before you say that you have finished."
    )

    def __init__(self, *, state: Any = None) -> None:
        self.restore(state)

    def restore(self, state: Any) -> None:
        """Puts what was stored in the place of what is there."""
        kept = state if isinstance(state, list) else []
        self._todos = [
            {key: str(todo.get(key, "")) for key in ("id", "description", "status")}
            for todo in kept
            if isinstance(todo, dict)
        ]

    def tools(self) -> Sequence[Tool]:
        return [
            _tool(
                "create_todo",
                "Create TODO",
                "Adds one thing to be done.",
                parameters({"description": text("What is to be done")}),
                _output({"created": _TODO, "all_todos": _ALL}),
                self._create_one,
            ),
            _tool(
                "create_todos",
                "Create TODOs",
                "Adds several things to be done.",
                parameters({"descriptions": texts("What is to be done, one text for each")}),
                _output({"created": listing(_TODO, "The new todos"), "all_todos": _ALL}),
                self._create_several,
            ),
            _tool(
                "update_todos",
                "Update TODOs",
                "Changes the status of todos: pending, in-progress or completed.",
                parameters({"updates": listing(_UPDATE, "The todos and their new status")}),
                _output(
                    {
                        "updated": listing(_UPDATE, "What was changed"),
                        "not_found": texts("IDs that do not exist"),
                        "all_todos": _ALL,
                    },
                    optional=["updated", "not_found"],
                ),
                self._update,
            ),
            _tool(
                "list_todos",
                "List TODOs",
                "Shows all todos with their status.",
                None,
                _output({"todos": _ALL}),
                self._list,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return self._all() or None

    def _create_one(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        created = self._add([string(arguments, "description")])
        return self._result({"created": created[0], "all_todos": self._all()})

    def _create_several(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        descriptions = strings(arguments, "descriptions")
        if not descriptions:
            raise ToolFailed("descriptions must name at least one todo")
        created = self._add(descriptions)
        return self._result({"created": created, "all_todos": self._all()})

    def _update(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        by_id = {todo["id"]: todo for todo in self._todos}
        updated, not_found = [], []
        updates = _updates(arguments)
        if not updates:
            raise ToolFailed("updates must change at least one todo")
        wrong = [one for one in updates if one["id"] in by_id and one["status"] not in _STATUSES]
        if wrong:
            raise ToolFailed(f"the status of {wrong[0]['id']} must be one of {', '.join(_STATUSES)}")
        for update in updates:
            if update["id"] in by_id:
                by_id[update["id"]]["status"] = update["status"]
                updated.append(update)
            else:
                not_found.append(update["id"])
        if not_found and not updated:
            return ToolResult.error(_json({"not_found": not_found, "all_todos": None}))
        found = {"updated": updated, "not_found": not_found}
        return self._result({k: v for k, v in found.items() if v} | {"all_todos": self._all()})

    def _list(self, _arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        return self._result({"todos": self._all()})

    def _add(self, descriptions: Sequence[str]) -> list[dict[str, str]]:
        """Adds all of them or none."""
        if len(self._todos) + len(descriptions) > MAX_TODOS:
            raise ToolFailed(f"there can be at most {MAX_TODOS} todos")
        if any(len(description) > MAX_CHARACTERS for description in descriptions):
            raise ToolFailed(f"a description can have at most {MAX_CHARACTERS} characters")
        first = len(self._todos) + 1
        self._todos += [
            {"id": f"todo_{number}", "description": description, "status": "pending"}
            for number, description in enumerate(descriptions, first)
        ]
        return [dict(todo) for todo in self._todos[first - 1 :]]

    def _all(self) -> list[dict[str, str]]:
        return [dict(todo) for todo in self._todos]

    def _result(self, body: dict[str, Any]) -> ToolResult:
        reminder = self._reminder()
        if reminder:
            body["reminder"] = reminder
        return ToolResult(_json(body), meta=self._all())

    def _reminder(self) -> str:
        open_todos = [
            f" ({status}) [{todo['id']}] {todo['description']}"
            for status in ("in-progress", "pending")
            for todo in self._todos
            if todo["status"] == status
        ]
        if not open_todos:
            return ""
        return "The following todos are still incomplete and MUST be completed:" + "".join(open_todos)


def _tool(
    name: str, title: str, description: str, takes: Schema | None, gives: Schema, handler: Handler
) -> Tool:
    return Tool(
        name=name,
        title=title,
        category="todo",
        description=description,
        parameters=takes,
        output_schema=gives,
        read_only=True,
        in_order=True,
        handler=handler,
    )


def _output(properties: Mapping[str, Schema], *, optional: Sequence[str] = ()) -> Schema:
    return parameters({**properties, "reminder": _REMINDER}, optional=[*optional, "reminder"])


def _updates(arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    updates = arguments.get("updates") or []
    if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
        raise ToolFailed("updates must be a list of objects with id and status")
    return [{"id": string(update, "id"), "status": string(update, "status")} for update in updates]


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
