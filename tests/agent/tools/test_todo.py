"""Todos, in the contract's JSON."""

from __future__ import annotations

import json

import jsonschema
import pytest

from app.agent.tools.todo import MAX_TODOS, TodoToolset
from tests.agent.tools.workbench import Workbench, find

A = '{"id":"todo_1","description":"A","status":"pending"}'
B = '{"id":"todo_2","description":"B","status":"pending"}'
REMINDER = '"reminder":"The following todos are still incomplete and MUST be completed:'


def test_one_todo_is_created(bench: Workbench) -> None:
    result = bench.call(TodoToolset(), "create_todo", description="A")
    assert result.output == f'{{"created":{A},"all_todos":[{A}],{REMINDER} (pending) [todo_1] A"}}'
    assert result.meta == [{"id": "todo_1", "description": "A", "status": "pending"}]


def test_several_todos_are_created(bench: Workbench) -> None:
    result = bench.call(TodoToolset(), "create_todos", descriptions=["A", "B"])
    reminder = f'{REMINDER} (pending) [todo_1] A (pending) [todo_2] B"'
    assert result.output == f'{{"created":[{A},{B}],"all_todos":[{A},{B}],{reminder}}}'


def test_an_update_changes_what_it_knows_and_names_what_it_does_not(bench: Workbench) -> None:
    todo = TodoToolset()
    bench.call(todo, "create_todos", descriptions=["A", "B", "C"])
    updates = [{"id": "todo_1", "status": "completed"}, {"id": "todo_2", "status": "in-progress"}]
    result = bench.call(todo, "update_todos", updates=[*updates, {"id": "x", "status": "pending"}])
    assert not result.is_error
    assert result.output.startswith(
        '{"updated":[{"id":"todo_1","status":"completed"},{"id":"todo_2","status":"in-progress"}],'
        '"not_found":["x"],"all_todos":[{"id":"todo_1","description":"A","status":"completed"},'
    )
    assert result.output.endswith(f'{REMINDER} (in-progress) [todo_2] B (pending) [todo_3] C"}}')


def test_an_update_of_unknown_todos_only_is_an_error(bench: Workbench) -> None:
    result = bench.call(TodoToolset(), "update_todos", updates=[{"id": "x", "status": "completed"}])
    assert (result.output, result.is_error) == ('{"not_found":["x"],"all_todos":null}', True)


def test_a_list_with_everything_done_has_no_reminder(bench: Workbench) -> None:
    todo = TodoToolset()
    assert bench.call(todo, "list_todos").output == '{"todos":[]}'
    bench.call(todo, "create_todo", description="A")
    bench.call(todo, "update_todos", updates=[{"id": "todo_1", "status": "completed"}])
    assert bench.call(todo, "list_todos").output == f'{{"todos":[{A.replace("pending", "completed")}]}}'


def test_todos_are_found_again_in_the_next_run(bench: Workbench) -> None:
    todo = TodoToolset()
    assert todo.state() is None
    bench.call(todo, "create_todo", description="A")
    again = TodoToolset(state=todo.state())
    assert bench.call(again, "create_todo", description="B").output.startswith(f'{{"created":{B}')


def test_there_is_an_end_to_the_number_and_the_length_of_todos(bench: Workbench) -> None:
    todo = TodoToolset()
    assert bench.call(todo, "create_todos", descriptions=["x"] * (MAX_TODOS + 1)).is_error
    assert bench.call(todo, "create_todo", description="x" * 2_001).is_error
    assert bench.call(todo, "list_todos").output == '{"todos":[]}'


@pytest.mark.parametrize("updates", ["x", [1], [{"id": 1}]])
def test_updates_of_a_wrong_shape_are_an_answer_for_the_model(bench: Workbench, updates: object) -> None:
    result = bench.call(TodoToolset(), "update_todos", updates=updates)
    assert result.is_error
    assert result.output.startswith("Error calling tool: ")


def test_every_output_keeps_to_the_schema_it_promises(bench: Workbench) -> None:
    todo = TodoToolset()
    calls: list[tuple[str, dict[str, object]]] = [
        ("create_todo", {"description": "A"}),
        ("create_todos", {"descriptions": ["B"]}),
        ("update_todos", {"updates": [{"id": "todo_1", "status": "completed"}, {"id": "x", "status": ""}]}),
        ("list_todos", {}),
    ]
    for name, arguments in calls:
        output = json.loads(bench.call(todo, name, **arguments).output)
        jsonschema.validate(output, find(todo, name).output_schema)
