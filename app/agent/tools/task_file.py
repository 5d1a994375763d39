"""A file of tasks that several sessions may work on at the same time."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from app.agent.tools.sandbox import Content, FileRefused, Sandbox
from app.agent.toolset import ToolFailed

T = TypeVar("T")

Task = dict[str, Any]
Tasks = dict[str, Task]

MAX_BYTES: Final = 10_000_000
LOCK_SECONDS: Final = 10.0


class TaskFile:
    """`{"tasks": {id: task}}`. Opened for each piece of work; nothing is kept in between."""

    def __init__(self, files: Sandbox, path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> Tasks:
        """No file means no tasks. Raises ToolFailed if it can't be read."""
        try:
            return _parsed(self._files.read(self._path, MAX_BYTES))
        except FileRefused as refusal:
            if refusal.number == errno.ENOENT:
                return {}
            raise ToolFailed(f"failed to read tasks: {refusal}") from refusal

    def change(self, work: Callable[[Tasks], T]) -> T:
        """Lets `work` change the tasks, alone; an error in it leaves the file as it was.

        Raises ToolFailed, also if another process keeps the file locked for LOCK_SECONDS.
        """
        try:
            if parent := os.path.dirname(self._path):
                self._files.make_directories(parent)
            with self._files.locked(self._path, LOCK_SECONDS):
                tasks = _parsed(self._files.read(self._path, MAX_BYTES))
                result = work(tasks)
                text = json.dumps({"tasks": tasks}, ensure_ascii=False, indent=2)
                self._files.write(self._path, text.encode("utf-8", "replace"))
                return result
        except FileRefused as refusal:
            raise ToolFailed(f"failed to write tasks: {refusal}") from refusal


def _parsed(content: Content) -> Tasks:
    """Raises ToolFailed: a file that is something else must not be overwritten."""
    data = content.data
    if content.size > MAX_BYTES:
        raise ToolFailed(f"failed to read tasks: the file is larger than {MAX_BYTES} bytes")
    if not data.strip():
        return {}
    try:
        tasks = json.loads(data)["tasks"] or {}
        return {str(task_id): _task(task) for task_id, task in tasks.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ToolFailed("failed to read tasks: the file is not a list of tasks") from error


def _task(value: Mapping[str, Any]) -> Task:
    task = dict(value)
    task["dependencies"] = [str(other) for other in task.get("dependencies") or []]
    return task
