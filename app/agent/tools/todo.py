"""The `todo` toolset: a list of what is to be done, kept with the session."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, TypedDict, get_args

from app.agent.tools.function_tool import FunctionToolset, schema_of, tool
from app.agent.toolset import ToolFailed, ToolResult
from app.errors import PartNotFound, TodoChanged

MAX_TODOS: Final = 200
MAX_CHARACTERS: Final = 2_000  # of one description: every answer repeats them all

TodoStatus = Literal["pending", "in-progress", "completed"]
_STATUSES: Final = get_args(TodoStatus)


class Todo(TypedDict):
    id: Annotated[str, "ID of the todo"]
    description: Annotated[str, "What is to be done"]
    status: Annotated[str, "pending, in-progress or completed"]


class StatusUpdate(TypedDict):
    id: Annotated[str, "ID of the todo"]
    status: Annotated[str, "How far it is", {"enum": list(_STATUSES)}]


AllTodos = Annotated[Sequence[Todo], "All todos"]
Reminder = Annotated[str, "What is not completed yet"]


class _Created(TypedDict):
    created: Todo
    all_todos: AllTodos
    reminder: NotRequired[Reminder]


class _SeveralCreated(TypedDict):
    created: Annotated[Sequence[Todo], "The new todos"]
    all_todos: AllTodos
    reminder: NotRequired[Reminder]


class _Updated(TypedDict):
    updated: NotRequired[Annotated[Sequence[StatusUpdate], "What was changed"]]
    not_found: NotRequired[Annotated[Sequence[str], "IDs that do not exist"]]
    all_todos: AllTodos
    reminder: NotRequired[Reminder]


class _Listed(TypedDict):
    todos: AllTodos
    reminder: NotRequired[Reminder]


class TodoToolset(FunctionToolset):
    """The list of one agent in one session; one that is shared belongs to all agents that work on the session,
    also on tasks given away. No list goes beyond a session: others' plans are none of its business."""

    category = "todo"
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

    def state(self) -> Any:
        return self.all() or None

    def set_status(self, todo_id: str, status: TodoStatus) -> None:
        """PartNotFound."""
        self._found(todo_id)["status"] = status

    def set_description(self, todo_id: str, *, expected: str, new: str) -> None:
        """PartNotFound; TodoChanged if the description is not the expected one."""
        todo = self._found(todo_id)
        if todo["description"] != expected:
            raise TodoChanged()
        todo["description"] = new

    def remove(self, todo_id: str) -> None:
        """PartNotFound."""
        self._todos.remove(self._found(todo_id))

    @tool(title="Create TODO", read_only=True, in_order=True, output_schema=schema_of(_Created))
    def create_todo(self, description: Annotated[str, "What is to be done"]) -> ToolResult:
        """Adds one thing to be done."""
        created = self._add([description])
        return self._result({"created": created[0], "all_todos": self.all()})

    @tool(title="Create TODOs", read_only=True, in_order=True, output_schema=schema_of(_SeveralCreated))
    def create_todos(
        self, descriptions: Annotated[Sequence[str], "What is to be done, one text for each"]
    ) -> ToolResult:
        """Adds several things to be done."""
        if not descriptions:
            raise ToolFailed("descriptions must name at least one todo")
        created = self._add(descriptions)
        return self._result({"created": created, "all_todos": self.all()})

    @tool(title="Update TODOs", read_only=True, in_order=True, output_schema=schema_of(_Updated))
    def update_todos(
        self, updates: Annotated[Sequence[StatusUpdate], "The todos and their new status"]
    ) -> ToolResult:
        """Changes the status of todos: pending, in-progress or completed."""
        by_id = {todo["id"]: todo for todo in self._todos}
        updated: list[StatusUpdate] = []
        not_found = []
        if not updates:
            raise ToolFailed("updates must change at least one todo")
        wrong = [one for one in updates if one["id"] in by_id and one["status"] not in _STATUSES]
        if wrong:
            raise ToolFailed(f"the status of {wrong[0]['id']} must be one of {', '.join(_STATUSES)}")
        for update in updates:
            if update["id"] in by_id:
                by_id[update["id"]]["status"] = update["status"]
                updated.append(StatusUpdate(id=update["id"], status=update["status"]))
            else:
                not_found.append(update["id"])
        if not_found and not updated:
            return ToolResult.error(_json({"not_found": not_found, "all_todos": None}))
        found = {"updated": updated, "not_found": not_found}
        return self._result({k: v for k, v in found.items() if v} | {"all_todos": self.all()})

    @tool(title="List TODOs", read_only=True, in_order=True, output_schema=schema_of(_Listed))
    def list_todos(self) -> ToolResult:
        """Shows all todos with their status."""
        return self._result({"todos": self.all()})

    def _add(self, descriptions: Sequence[str]) -> list[dict[str, str]]:
        """Adds all of them or none."""
        if len(self._todos) + len(descriptions) > MAX_TODOS:
            raise ToolFailed(f"there can be at most {MAX_TODOS} todos")
        if any(len(description) > MAX_CHARACTERS for description in descriptions):
            raise ToolFailed(f"a description can have at most {MAX_CHARACTERS} characters")
        first = 1 + max((_number(todo["id"]) for todo in self._todos), default=0)
        created = [
            {"id": f"todo_{number}", "description": description, "status": "pending"}
            for number, description in enumerate(descriptions, first)
        ]
        self._todos += created
        return [dict(todo) for todo in created]

    def _found(self, todo_id: str) -> dict[str, str]:
        for todo in self._todos:
            if todo["id"] == todo_id:
                return todo
        raise PartNotFound()

    def all(self) -> list[dict[str, str]]:
        """Copies, the oldest first."""
        return [dict(todo) for todo in self._todos]

    def _result(self, body: dict[str, Any]) -> ToolResult:
        reminder = self._reminder()
        if reminder:
            body["reminder"] = reminder
        return ToolResult(_json(body), meta=self.all())

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


def _number(todo_id: str) -> int:
    """How far the ids have come: one that was removed is not given again while a later one is there."""
    number = todo_id.removeprefix("todo_")
    return int(number) if number.isascii() and number.isdigit() else 0


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
