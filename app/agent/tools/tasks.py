"""The `tasks` toolset: a list of work and its order, in a file that outlives the session."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from app.agent.tools.file_reading import decode
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.sandbox import FileRefused, Sandbox, files_of
from app.agent.tools.task_file import Task, TaskFile, Tasks
from app.agent.toolset import ToolContext, ToolFailed, ToolResult

DEFAULT_PATH: Final = "tasks.json"
PRIORITIES: Final = ("critical", "high", "medium", "low")
STATUSES: Final = ("pending", "in_progress", "done", "blocked")
NOTHING_TO_DO: Final = "No actionable tasks. Everything is either done or blocked."

_MAX_DESCRIPTION: Final = 100_000

TaskId = Annotated[str, "ID of the task"]
WaitingId = Annotated[str, "ID of the task that waits"]
AwaitedId = Annotated[str, "ID of the task that it waits for"]
Title = Annotated[str, "What is to be done, in a few words"]
Description = Annotated[str, "What is to be done"]
DescriptionPath = Annotated[str, "A file that holds the description"]
Priority = Annotated[str, "critical, high, medium or low"]
Status = Annotated[str, "pending, in_progress, done or blocked"]
Dependencies = Annotated[Sequence[str] | None, "IDs of the tasks that must be done first"]


class _Refused(Exception):
    """The mistake in a call, in the contract's words."""


class TasksToolset(FunctionToolset):
    """`path` is below the session's directory, unless it is absolute."""

    category = "tasks"
    instructions = (
        "Tasks outlive this conversation. Ask next_task what to do, set a task to in_progress when you begin "
        "and to done when it is finished, and say with dependencies what has to wait for what."
    )

    def __init__(self, *, path: str = "") -> None:
        self._path = path or DEFAULT_PATH

    @tool(output_schema=None)
    def create_task(
        self,
        context: ToolContext,
        title: Title,
        description: Description = "",
        path: DescriptionPath = "",
        priority: Priority = "",
        dependencies: Dependencies = None,
    ) -> ToolResult:
        """Creates a task."""

        def create(tasks: Tasks) -> Task:
            now = _now()
            task: Task = {
                "id": str(uuid.uuid4()),
                "title": title,
                "description": _description(description, path, context),
                "priority": _one_of(PRIORITIES, "priority", priority) or "medium",
                "status": "pending",
                "dependencies": _existing(tasks, dependencies or ()),
                "createdAt": now,
                "updatedAt": now,
            }
            tasks[task["id"]] = task
            return task

        return self._change(context, create)

    @tool(output_schema=None, read_only=True)
    def get_task(self, context: ToolContext, id: TaskId) -> ToolResult:
        """Shows a task."""
        return self._show(context, lambda tasks: _shown(tasks, _find(tasks, id)))

    @tool(output_schema=None)
    def update_task(
        self,
        context: ToolContext,
        id: TaskId,
        title: Title = "",
        description: Description = "",
        path: DescriptionPath = "",
        priority: Priority = "",
        status: Status = "",
        dependencies: Dependencies = None,
    ) -> ToolResult:
        """Changes a task; what is left out or empty stays as it is."""

        def update(tasks: Tasks) -> Task:
            task = _find(tasks, id)
            changes = {
                "title": title,
                "description": _description(description, path, context),
                "priority": _one_of(PRIORITIES, "priority", priority),
                "status": _one_of(STATUSES, "status", status),
            }
            changed = {**task, **{key: value for key, value in changes.items() if value}, "updatedAt": _now()}
            if dependencies is not None:
                changed["dependencies"] = _existing(tasks, dependencies)
            tasks[id] = changed
            if _is_reachable(tasks, id, changed["dependencies"]):
                raise _Refused("adding these dependencies would create a cycle")
            return changed

        return self._change(context, update)

    @tool(output_schema=None, destructive=True)
    def delete_task(self, context: ToolContext, id: TaskId) -> ToolResult:
        """Deletes a task."""

        def delete(tasks: Tasks) -> dict[str, str]:
            gone = _find(tasks, id)["id"]
            del tasks[gone]
            for task in tasks.values():
                task["dependencies"] = [other for other in task["dependencies"] if other != gone]
            return {"deleted": gone}

        return self._change(context, delete)

    @tool(output_schema=None, read_only=True)
    def list_tasks(self, context: ToolContext, status: Status = "", priority: Priority = "") -> ToolResult:
        """Lists the tasks: those that can be begun first, then by priority and age."""

        def found(tasks: Tasks) -> Sequence[Task] | None:
            _one_of(STATUSES, "status", status)
            _one_of(PRIORITIES, "priority", priority)
            return [
                task
                for task in _ordered(tasks)
                if status in ("", task["effectiveStatus"]) and priority in ("", task["priority"])
            ] or None

        return self._show(context, found)

    @tool(output_schema=None, read_only=True)
    def next_task(self, context: ToolContext) -> ToolResult:
        """Shows the task to do next."""

        def found(tasks: Tasks) -> Task | str:
            actionable = (
                task for task in _ordered(tasks) if task["effectiveStatus"] in ("pending", "in_progress")
            )
            return next(actionable, NOTHING_TO_DO)

        return self._show(context, found)

    @tool(output_schema=None)
    def add_dependency(self, context: ToolContext, taskId: WaitingId, dependsOnId: AwaitedId) -> ToolResult:
        """Makes a task wait for another."""

        def link(tasks: Tasks) -> Task:
            task = _find(tasks, taskId)
            _existing(tasks, [dependsOnId])
            if dependsOnId in task["dependencies"]:
                raise _Refused("dependency already exists")
            if _is_reachable(tasks, task["id"], [dependsOnId]):
                raise _Refused("adding this dependency would create a cycle")
            return _touched(task, [*task["dependencies"], dependsOnId])

        return self._change(context, link)

    @tool(output_schema=None)
    def remove_dependency(
        self, context: ToolContext, taskId: WaitingId, dependsOnId: AwaitedId
    ) -> ToolResult:
        """Lets a task no longer wait for another."""

        def unlink(tasks: Tasks) -> Task:
            task = _find(tasks, taskId)
            return _touched(task, [one for one in task["dependencies"] if one != dependsOnId])

        return self._change(context, unlink)

    def _show(self, context: ToolContext, find: Callable[[Tasks], Any]) -> ToolResult:
        file = self._file(context)
        return _result(lambda: find(file.read()))

    def _change(self, context: ToolContext, change: Callable[[Tasks], Any]) -> ToolResult:
        file = self._file(context)
        return _result(lambda: file.change(change))

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


def _result(work: Callable[[], Any]) -> ToolResult:
    try:
        answer = work()
    except _Refused as refusal:
        return ToolResult.error(str(refusal))
    words = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return ToolResult(answer if isinstance(answer, str) else words)


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


def _description(given: str, path: str, context: ToolContext) -> str:
    """As given, or the content of the file that was named instead."""
    if not path:
        return given
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
