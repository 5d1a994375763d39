"""Memories are found again by other sessions, and by nobody else."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.agent.tools.memory import MAX_CHARACTERS, MemoryToolset
from tests.agent.tools.workbench import Workbench


@pytest.fixture
def memory(bench: Workbench) -> MemoryToolset:
    return MemoryToolset(default=bench.root.parent / "home" / "memory.db")


def add(bench: Workbench, memory: MemoryToolset, text: str, **more: Any) -> str:
    words = bench.call(memory, "add_memory", memory=text, **more).output
    head, _, memory_id = words.rpartition(" ")
    assert head == "Memory added successfully with ID:"
    assert len(memory_id) == 19, "nanoseconds"
    return memory_id


def found(bench: Workbench, memory: MemoryToolset, name: str = "get_memories", **arguments: Any) -> list[str]:
    output = bench.call(memory, name, **arguments).output
    return [one["memory"] for one in json.loads(output) or []]


def test_nothing_is_null_and_makes_no_file(bench: Workbench, memory: MemoryToolset) -> None:
    assert bench.call(memory, "get_memories").output == "null"
    assert bench.call(memory, "search_memories", query="x").output == "null"
    assert not (bench.root.parent / "home").exists()


def test_a_memory_is_found_again_by_another_toolset(bench: Workbench, memory: MemoryToolset) -> None:
    first = add(bench, memory, "Likes tea", category="preference")
    add(bench, memory, "Lives in Bern")
    again = MemoryToolset(default=bench.root.parent / "home" / "memory.db")
    one, other = json.loads(bench.call(again, "get_memories").output)
    assert list(one) == ["id", "created_at", "memory", "category"]
    assert (one["id"], one["memory"], one["category"]) == (first, "Likes tea", "preference")
    assert one["created_at"].endswith("Z")
    assert list(other) == ["id", "created_at", "memory"]


def test_a_search_wants_every_word_and_the_category_in_any_case(
    bench: Workbench, memory: MemoryToolset
) -> None:
    add(bench, memory, "Likes green TEA", category="Taste")
    add(bench, memory, "Likes tea in the morning", category="habit")
    assert found(bench, memory, "search_memories", query="tea GREEN") == ["Likes green TEA"]
    assert len(found(bench, memory, "search_memories", query="likes")) == 2
    assert found(bench, memory, "search_memories", category="HABIT") == ["Likes tea in the morning"]
    assert len(found(bench, memory, "search_memories")) == 2


def test_an_update_replaces_the_category_too(bench: Workbench, memory: MemoryToolset) -> None:
    one = add(bench, memory, "A", category="x")
    words = bench.call(memory, "update_memory", id=one, memory="B").output
    assert words == f"Memory with ID {one} updated successfully"
    [shown] = json.loads(bench.call(memory, "get_memories").output)
    assert shown["memory"] == "B"
    assert "category" not in shown
    missing = bench.call(memory, "update_memory", id="7", memory="B")
    assert missing.is_error
    assert missing.output == "Error calling tool: failed to update memory: memory not found: 7"


def test_a_deletion_succeeds_whether_or_not_there_was_one(bench: Workbench, memory: MemoryToolset) -> None:
    one = add(bench, memory, "A")
    for _ in range(2):
        words = bench.call(memory, "delete_memory", id=one).output
        assert words == f"Memory with ID {one} deleted successfully"
    assert found(bench, memory) == []


def test_the_table_is_the_contracts(bench: Workbench, memory: MemoryToolset) -> None:
    add(bench, memory, "A")
    with closing(sqlite3.connect(bench.root.parent / "home" / "memory.db")) as database:
        columns = database.execute("PRAGMA table_info(memories)").fetchall()
    assert [(name, kind) for _, name, kind, *_ in columns] == [
        ("id", "TEXT"),
        ("created_at", "TEXT"),
        ("memory", "TEXT"),
        ("category", "TEXT"),
    ]


def test_the_path_may_be_absolute_but_a_relative_one_stays_inside(bench: Workbench, tmp_path: Path) -> None:
    for path, place in (
        ("notes/m.db", bench.root / "notes/m.db"),
        (str(tmp_path / "a.db"), tmp_path / "a.db"),
    ):
        add(bench, MemoryToolset(default=tmp_path, path=path), "A")
        assert place.is_file()
    outside = MemoryToolset(default=tmp_path, path="../m.db")
    assert "path is outside the working directory" in bench.call(outside, "get_memories").output
    (bench.root / "link").symlink_to(tmp_path)
    assert (
        "path is outside the working directory"
        in bench.call(MemoryToolset(default=tmp_path, path="link/m.db"), "get_memories").output
    )


@pytest.mark.parametrize(
    ("name", "arguments", "verb"),
    [
        ("add_memory", {"memory": "A"}, "add memory"),
        ("get_memories", {}, "get memories"),
        ("search_memories", {}, "search memories"),
        ("update_memory", {"id": "1", "memory": "A"}, "update memory"),
        ("delete_memory", {"id": "1"}, "delete memory"),
    ],
)
def test_a_file_that_is_no_database_is_an_answer_for_the_model(
    bench: Workbench, name: str, arguments: dict[str, Any], verb: str
) -> None:
    file = bench.write("m.db", "this is no database, whatever its name says" * 100)
    result = bench.call(MemoryToolset(default=bench.root, path="m.db"), name, **arguments)
    assert result.is_error
    assert result.output.startswith(f"Error calling tool: failed to {verb}: ")
    assert file.read_text().startswith("this is no database")


def test_a_link_that_comes_at_the_last_moment_is_not_worked_on(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command of the session may put it there when the file has been looked at."""
    mine = MemoryToolset(default=tmp_path, path="mine.db")
    other = MemoryToolset(default=tmp_path / "other" / "memory.db")
    add(bench, mine, "mine")
    add(bench, other, "of another name")
    connect = sqlite3.connect

    def swap_and_connect(path: Path, **more: Any) -> Any:
        path.unlink(missing_ok=True)
        path.symlink_to(tmp_path / "other" / "memory.db")
        return connect(path, **more)

    monkeypatch.setattr(sqlite3, "connect", swap_and_connect)
    for name, arguments in (("get_memories", {}), ("add_memory", {"memory": "planted"})):
        assert bench.call(mine, name, **arguments).is_error
    monkeypatch.undo()
    assert found(bench, other) == ["of another name"]


def test_a_memory_has_a_limit(bench: Workbench, memory: MemoryToolset) -> None:
    assert bench.call(memory, "add_memory", memory="x" * (MAX_CHARACTERS + 1)).is_error
    assert found(bench, memory) == []


def test_sessions_that_remember_at_once_lose_nothing(bench: Workbench, memory: MemoryToolset) -> None:
    barrier = threading.Barrier(4)

    def remember() -> None:
        barrier.wait()
        for _ in range(5):
            add(bench, memory, "A")

    threads = [threading.Thread(target=remember) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found(bench, memory)) == 20
