"""Tasks in a file: which task waits for which, which comes next, and several sessions at once."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from app.agent.tools.tasks import NOTHING_TO_DO, TasksToolset
from tests.agent.tools.workbench import Workbench


def ask(bench: Workbench, name: str, toolset: TasksToolset | None = None, **arguments: Any) -> Any:
    result = bench.call(toolset or TasksToolset(), name, **arguments)
    assert not result.is_error, result.output
    return json.loads(result.output)


def refusal(bench: Workbench, name: str, **arguments: Any) -> str:
    result = bench.call(TasksToolset(), name, **arguments)
    assert result.is_error
    return result.output


def make(bench: Workbench, title: str, **fields: Any) -> str:
    return str(ask(bench, "create_task", title=title, **fields)["id"])


def titles(tasks: list[dict[str, Any]] | None) -> list[str]:
    return [task["title"] for task in tasks or []]


def test_a_task_has_the_contracts_fields_and_outlives_the_toolset(bench: Workbench) -> None:
    made = ask(bench, "create_task", title="A", description="Do A")
    assert list(made) == [
        "id",
        "title",
        "description",
        "priority",
        "status",
        "dependencies",
        "createdAt",
        "updatedAt",
    ]
    assert (made["priority"], made["status"], made["dependencies"]) == ("medium", "pending", [])
    assert ask(bench, "get_task", id=made["id"]) == {**made, "effectiveStatus": "pending"}
    stored = json.loads((bench.root / "tasks.json").read_text())
    assert stored == {"tasks": {made["id"]: made}}


def test_an_update_leaves_empty_fields_as_they_are(bench: Workbench) -> None:
    one = make(bench, "A", description="Do A", priority="low")
    changed = ask(bench, "update_task", id=one, title="", description="", priority="high", status="done")
    assert changed["title"] == "A"
    assert (changed["description"], changed["priority"], changed["status"]) == ("Do A", "high", "done")


def test_a_description_may_come_from_a_file_of_the_session(bench: Workbench) -> None:
    bench.write("what.md", "All of it")
    assert ask(bench, "create_task", title="A", path="what.md")["description"] == "All of it"
    assert refusal(bench, "create_task", title="A", path="../x").startswith("invalid file path: ")
    assert refusal(bench, "create_task", title="A", path="gone").startswith("reading file gone: ")


def test_a_task_is_blocked_until_what_it_waits_for_is_done(bench: Workbench) -> None:
    first = make(bench, "first", priority="low")
    second = make(bench, "second", priority="critical", dependencies=[first])
    assert ask(bench, "get_task", id=second)["effectiveStatus"] == "blocked"
    assert ask(bench, "next_task")["title"] == "first"
    ask(bench, "update_task", id=first, status="done")
    assert ask(bench, "next_task")["title"] == "second"
    ask(bench, "update_task", id=second, status="blocked")
    assert bench.call(TasksToolset(), "next_task").output == NOTHING_TO_DO


def test_tasks_are_listed_by_what_can_be_begun_then_priority_then_age(bench: Workbench) -> None:
    assert bench.call(TasksToolset(), "list_tasks").output == "null"
    old = make(bench, "old")
    make(bench, "waits", priority="critical", dependencies=[old])
    make(bench, "low", priority="low")
    make(bench, "high", priority="high")
    assert titles(ask(bench, "list_tasks")) == ["high", "old", "low", "waits"]
    assert titles(ask(bench, "list_tasks", status="blocked")) == ["waits"]
    assert titles(ask(bench, "list_tasks", priority="high")) == ["high"]


def test_a_deleted_task_is_no_longer_waited_for(bench: Workbench) -> None:
    first = make(bench, "first")
    second = make(bench, "second", dependencies=[first])
    assert ask(bench, "delete_task", id=first) == {"deleted": first}
    assert ask(bench, "get_task", id=second)["dependencies"] == []


def test_dependencies_come_and_go_but_never_make_a_circle(bench: Workbench) -> None:
    a, b, c = (make(bench, title) for title in "abc")
    ask(bench, "add_dependency", taskId=b, dependsOnId=a)
    assert ask(bench, "add_dependency", taskId=c, dependsOnId=b)["dependencies"] == [b]
    circle = "adding this dependency would create a cycle"
    assert refusal(bench, "add_dependency", taskId=a, dependsOnId=c) == circle
    assert refusal(bench, "add_dependency", taskId=a, dependsOnId=a) == circle
    words = "adding these dependencies would create a cycle"
    assert refusal(bench, "update_task", id=a, dependencies=[c]) == words
    assert ask(bench, "get_task", id=a)["dependencies"] == []
    assert refusal(bench, "add_dependency", taskId=c, dependsOnId=b) == "dependency already exists"
    assert ask(bench, "remove_dependency", taskId=c, dependsOnId=b)["dependencies"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("get_task", {"id": "x"}, "task not found: x"),
        ("create_task", {"title": "A", "priority": "now"}, "invalid priority: now"),
        ("create_task", {"title": "A", "dependencies": ["x"]}, "dependency task not found: x"),
        ("list_tasks", {"status": "lost"}, "invalid status: lost"),
        ("add_dependency", {"taskId": "x", "dependsOnId": "y"}, "task not found: x"),
    ],
)
def test_refusals_are_the_contracts(
    bench: Workbench, name: str, arguments: dict[str, Any], words: str
) -> None:
    assert refusal(bench, name, **arguments) == words


def test_the_path_may_be_absolute_but_a_relative_one_stays_inside(bench: Workbench) -> None:
    place = bench.root.parent / "elsewhere.json"
    ask(bench, "create_task", TasksToolset(path=str(place)), title="A")
    assert place.exists()
    ask(bench, "create_task", TasksToolset(path="deep/er/tasks.json"), title="A")
    assert (bench.root / "deep/er/tasks.json").exists()
    assert (
        "path is outside the working directory"
        in bench.call(TasksToolset(path="../x.json"), "list_tasks").output
    )


@pytest.mark.parametrize("content", ["[]", '{"tasks": 3}', "not json", '{"other": {}}'])
def test_a_file_that_is_something_else_is_left_alone(bench: Workbench, content: str) -> None:
    file = bench.write("tasks.json", content)
    assert refusal(bench, "create_task", title="A").startswith("Error calling tool: failed to read tasks")
    assert file.read_text() == content


def test_sessions_that_write_at_once_lose_nothing(bench: Workbench) -> None:
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        for _ in range(5):
            make(bench, f"of {number}")

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ask(bench, "list_tasks")) == 20
    assert [entry.name for entry in bench.root.iterdir()] == ["tasks.json"]
