"""The `tasks` toolset: a list of work and its order, in a file that outlives the session."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.agent.tools.file_reading import decode
from app.agent.tools.parameters import Schema, parameters, text, texts
from app.agent.tools.sandbox import FileRefused, Sandbox, files_of
from app.agent.tools.task_file import Task, TaskFile, Tasks
from app.agent.toolset import Handler, Tool, ToolContext, ToolFailed, ToolResult, string, strings

DEFAULT_PATH: Final = "tasks.json"
PRIORITIES: Final = ("critical", "high", "medium", "low")
STATUSES: Final = ("pending", "in_progress", "done", "blocked")
NOTHING_TO_DO: Final = "No actionable tasks. Everything is either done or blocked."

_MAX_DESCRIPTION: Final = 100_000

_ID: Final = text("ID of the task")
_FIELDS: Final[Mapping[str, Schema]] = {
    "title": text("What is to be done, in a few words"),
    "description": text("What is to be done"),
    "path": text("A file that holds the description"),
    "priority": text("critical, high, medium or low"),
    "status": text("pending, in_progress, done or blocked"),
    "dependencies": texts("IDs of the tasks that must be done first"),
}
_LINK: Final = parameters(
    {"taskId": text("ID of the task that waits"), "dependsOnId": text("ID of the task that it waits for")}
)


class _Refused(Exception):
    """The mistake in a call, in the contract's words."""


class TasksToolset:
    """`path` is below the session's directory, unless it is absolute."""

    instructions = (
        "Tasks outlive this conversation. Ask next_task what to do, set a task to in_progress when you begin "
        "and to done when it is finished, and say with dependencies what has to wait for what."
    )

    def __init__(self, *, path: str = "") -> None:
        self._path = path or DEFAULT_PATH

    def tools(self) -> Sequence[Tool]:
        made = _fields("title", "description", "path", "priority", "dependencies", optional_from=1)
        changed = {"id": _ID, **_FIELDS}
        listed = _fields("status", "priority")
        one = parameters({"id": _ID})
        return [
            self._tool("create_task", "Creates a task.", made, self._create),
            self._tool("get_task", "Shows a task.", one, self._get, read_only=True),
            self._tool(
                "update_task",
                "Changes a task; what is left out or empty stays as it is.",
                parameters(changed, optional=_FIELDS),
                self._update,
            ),
            self._tool("delete_task", "Deletes a task.", one, self._delete, destructive=True),
            self._tool(
                "list_tasks",
                "Lists the tasks: those that can be begun first, then by priority and age.",
                listed,
                self._list,
                read_only=True,
            ),
            self._tool("next_task", "Shows the task to do next.", None, self._next, read_only=True),
            self._tool("add_dependency", "Makes a task wait for another.", _LINK, self._link),
            self._tool("remove_dependency", "Lets a task no longer wait for another.", _LINK, self._unlink),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def state(self) -> Any:
        return None

    def _tool(
        self,
        name: str,
        description: str,
        takes: Schema | None,
        work: Callable[[Tasks, Mapping[str, Any], ToolContext], Any],
        *,
        read_only: bool = False,
        destructive: bool | None = None,
    ) -> Tool:
        return Tool(
            name=name,
            title=name.replace("_", " ").title(),
            category="tasks",
            description=description,
            parameters=takes,
            output_schema=None,
            read_only=read_only,
            destructive=destructive,
            handler=self._handler(work, read_only=read_only),
        )

    def _handler(
        self, work: Callable[[Tasks, Mapping[str, Any], ToolContext], Any], *, read_only: bool
    ) -> Handler:
        def handler(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
            file = self._file(context)
            try:
                if read_only:
                    answer = work(file.read(), arguments, context)
                else:
                    answer = file.change(lambda tasks: work(tasks, arguments, context))
            except _Refused as refusal:
                return ToolResult.error(str(refusal))
            words = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
            return ToolResult(answer if isinstance(answer, str) else words)

        return handler

    def _file(self, context: ToolContext) -> TaskFile:
        """An absolute path is the choice of the agent file's author; any other one lies below the session's
        directory."""
        path = Path(self._path)
        if path.is_absolute():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ToolFailed(f"failed to write tasks: {error}") from error
            return TaskFile(Sandbox(path.parent), path.name)
        return TaskFile(files_of(context), self._path)

    def _create(self, tasks: Tasks, arguments: Mapping[str, Any], context: ToolContext) -> Task:
        now = _now()
        task: Task = {
            "id": str(uuid.uuid4()),
            "title": string(arguments, "title"),
            "description": _description(arguments, context),
            "priority": _one_of(PRIORITIES, "priority", string(arguments, "priority")) or "medium",
            "status": "pending",
            "dependencies": _existing(tasks, strings(arguments, "dependencies")),
            "createdAt": now,
            "updatedAt": now,
        }
        tasks[task["id"]] = task
        return task

    def _get(self, tasks: Tasks, arguments: Mapping[str, Any], _context: ToolContext) -> Task:
        return _shown(tasks, _find(tasks, string(arguments, "id")))

    def _update(self, tasks: Tasks, arguments: Mapping[str, Any], context: ToolContext) -> Task:
        task = _find(tasks, string(arguments, "id"))
        changes = {
            "title": string(arguments, "title"),
            "description": _description(arguments, context),
            "priority": _one_of(PRIORITIES, "priority", string(arguments, "priority")),
            "status": _one_of(STATUSES, "status", string(arguments, "status")),
        }
        changed = {**task, **{key: value for key, value in changes.items() if value}, "updatedAt": _now()}
        if arguments.get("dependencies") is not None:
            changed["dependencies"] = _existing(tasks, strings(arguments, "dependencies"))
        tasks[task["id"]] = changed
        if _is_reachable(tasks, task["id"], changed["dependencies"]):
            raise _Refused("adding these dependencies would create a cycle")
        return changed

    def _delete(self, tasks: Tasks, arguments: Mapping[str, Any], _context: ToolContext) -> dict[str, str]:
        gone = _find(tasks, string(arguments, "id"))["id"]
        del tasks[gone]
        for task in tasks.values():
            task["dependencies"] = [other for other in task["dependencies"] if other != gone]
        return {"deleted": gone}

    def _list(
        self, tasks: Tasks, arguments: Mapping[str, Any], _context: ToolContext
    ) -> Sequence[Task] | None:
        status = _one_of(STATUSES, "status", string(arguments, "status"))
        priority = _one_of(PRIORITIES, "priority", string(arguments, "priority"))
        found = [
            task
            for task in _ordered(tasks)
            if status in ("", task["effectiveStatus"]) and priority in ("", task["priority"])
        ]
        return found or None

    def _next(self, tasks: Tasks, _arguments: Mapping[str, Any], _context: ToolContext) -> Task | str:
        actionable = (
            task for task in _ordered(tasks) if task["effectiveStatus"] in ("pending", "in_progress")
        )
        return next(actionable, NOTHING_TO_DO)

    def _link(self, tasks: Tasks, arguments: Mapping[str, Any], _context: ToolContext) -> Task:
        task, other = _find(tasks, string(arguments, "taskId")), string(arguments, "dependsOnId")
        _existing(tasks, [other])
        if other in task["dependencies"]:
            raise _Refused("dependency already exists")
        if _is_reachable(tasks, task["id"], [other]):
            raise _Refused("adding this dependency would create a cycle")
        return _touched(task, [*task["dependencies"], other])

    def _unlink(self, tasks: Tasks, arguments: Mapping[str, Any], _context: ToolContext) -> Task:
        task, other = _find(tasks, string(arguments, "taskId")), string(arguments, "dependsOnId")
        return _touched(task, [one for one in task["dependencies"] if one != other])


def _fields(*names: str, optional_from: int = 0) -> Schema:
    return parameters({name: _FIELDS[name] for name in names}, optional=names[optional_from:])


def _find(tasks: Tasks, task_id: str) -> Task:
    if task_id not in tasks:
        raise _Refused(f"task not found: {task_id}")
    return tasks[task_id]


def _existing(tasks: Tasks, ids: Sequence[str]) -> list[str]:
    for task_id in ids:
        if task_id not in tasks:
            raise _Refused(f"dependency task not found: {task_id}")
    return list(dict.fromkeys(ids))


def _one_of(known: Sequence[str], name: str, value: str) -> str:
    if value and value not in known:
        raise _Refused(f"invalid {name}: {value}")
    return value


def _description(arguments: Mapping[str, Any], context: ToolContext) -> str:
    """As given, or what the file holds that was named instead."""
    path = string(arguments, "path")
    if not path:
        return string(arguments, "description")
    try:
        content = files_of(context).read(path, _MAX_DESCRIPTION)
    except FileRefused as refusal:
        if refusal.number is None:
            raise _Refused(f"invalid file path: {refusal}") from refusal
        raise _Refused(f"reading file {path}: {refusal}") from refusal
    if content.size > _MAX_DESCRIPTION:
        raise _Refused(f"reading file {path}: larger than {_MAX_DESCRIPTION} bytes")
    return decode(content.data)


def _is_reachable(tasks: Tasks, wanted: str, starts: Sequence[str]) -> bool:
    """Whether `wanted` is among the starts, or what they wait for."""
    pending, seen = list(starts), set(starts)
    while pending:
        for other in tasks.get(pending.pop(), {}).get("dependencies", []):
            if other not in seen:
                seen.add(other)
                pending.append(other)
    return wanted in seen


def _touched(task: Task, dependencies: list[str]) -> Task:
    task.update(dependencies=dependencies, updatedAt=_now())
    return task


def _shown(tasks: Tasks, task: Task) -> Task:
    waits = any(tasks[other].get("status") != "done" for other in task["dependencies"] if other in tasks)
    status = task.get("status", "pending")
    return {**task, "effectiveStatus": "blocked" if waits and status != "done" else status}


def _ordered(tasks: Tasks) -> list[Task]:
    def order(task: Task) -> tuple[bool, int, str]:
        priority = task.get("priority", "medium")
        rank = PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES)
        return task["effectiveStatus"] == "blocked", rank, str(task.get("createdAt", ""))

    return sorted((_shown(tasks, task) for task in tasks.values()), key=order)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
