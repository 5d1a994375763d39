"""A file of tasks that several sessions may work on at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from app.agent.toolset import ToolFailed

T = TypeVar("T")

Task = dict[str, Any]
Tasks = dict[str, Task]

MAX_BYTES: Final = 10_000_000


class TaskFile:
    """`{"tasks": {id: task}}`. Opened for each piece of work; nothing is kept in between."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Tasks:
        """No file means no tasks. Raises ToolFailed if it can't be read."""
        try:
            return _parsed(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ToolFailed(f"failed to read tasks: {error}") from error

    def change(self, work: Callable[[Tasks], T]) -> T:
        """Lets `work` change the tasks, alone; what it raises leaves the file as it was."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as file:
                tasks = _parsed(file)
                result = work(tasks)
                self._replace(json.dumps({"tasks": tasks}, ensure_ascii=False, indent=2))
                return result
        except OSError as error:
            raise ToolFailed(f"failed to write tasks: {error}") from error

    @contextmanager
    def _locked(self) -> Iterator[bytes]:
        """The file's content, while nobody else changes it.

        A change puts a new file in the old one's place, so whoever waited for the old one looks again.
        """
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(fd), os.stat(self._path)):
                    with os.fdopen(fd, "rb", closefd=False) as file:
                        yield file.read(MAX_BYTES + 1)
                    return
            except FileNotFoundError:
                continue  # gone between the two looks
            finally:
                os.close(fd)

    def _replace(self, text: str) -> None:
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            new.write_text(text)
            os.replace(new, self._path)
        finally:
            new.unlink(missing_ok=True)


def _parsed(data: bytes) -> Tasks:
    """Raises ToolFailed: a file that is something else must not be overwritten."""
    if len(data) > MAX_BYTES:
        raise ToolFailed(f"failed to read tasks: the file is larger than {MAX_BYTES} bytes")
    if not data.strip():
        return {}
    try:
        tasks = json.loads(data)["tasks"] or {}
        return {str(task_id): _task(task) for task_id, task in tasks.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailed("failed to read tasks: the file is not a list of tasks") from error


def _task(value: Mapping[str, Any]) -> Task:
    task = dict(value)
    task["dependencies"] = [str(other) for other in task.get("dependencies") or []]
    return task
