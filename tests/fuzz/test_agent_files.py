"""Agent files, and the files of tasks and memories that lie in a stranger's repository."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.tools.memory_file import MemoryFailed, MemoryFile
from app.agent.tools.sandbox import Sandbox
from app.agent.tools.tasks import TasksToolset
from app.agent.toolset import ToolFailed
from app.errors import InvalidAgentConfig
from app.team.loading import load_team
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.workbench import Workbench, find
from tests.fuzz.limits import LARGE, bounded, joined, large, tries

WORDS = st.sampled_from(
    (
        *("root", "m", "anthropic", "anthropic/claude-sonnet-5-5", "auto", "a,b", "", "7", "1", "true", "5m"),
        *(
            "filesystem",
            "shell",
            "mcp",
            "api",
            "openapi",
            "script",
            "x: [",
            "*",
            "(",
            "${env.X}",
            "$X",
            "\u202e",
        ),
        *("docker:x", "http://[", "read_file", "local", "high", "command", "string", "a/../b", "-1", "1e9"),
    )
)
LEAVES = (
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-2, 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
)
KEYS = st.sampled_from(
    (
        *("version", "agents", "models", "root", "m", "model", "toolsets", "type", "tools", "instruction"),
        *("sub_agents", "handoffs", "fallback", "retries", "cooldown", "hooks", "pre_tool_use", "matcher"),
        *("command", "args", "env", "permissions", "allow", "deny", "ask", "routing", "examples", "provider"),
        *(
            "thinking_budget",
            "structured_output",
            "schema",
            "skills",
            "api_config",
            "endpoint",
            "method",
            "name",
        ),
        *("required", "shell", "cmd", "post_edit", "path", "remote", "url", "headers", "origins", "defer"),
        *("commands", "metadata", "max_iterations", "add_prompt_files", "network", "timeout", "mcps", "<<"),
    )
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
TOOLSET = (
    st.fixed_dictionaries({"type": WORDS | ANYTHING}) | st.dictionaries(KEYS, ANYTHING, max_size=4) | ANYTHING
)
AGENT = st.one_of(
    st.builds(
        lambda more, toolsets: {"model": "anthropic/claude-sonnet-5-5", "toolsets": toolsets, **more},
        st.dictionaries(KEYS, ANYTHING, max_size=3),
        st.lists(TOOLSET, max_size=3),
    ),
    ANYTHING,
)
FILES = st.builds(
    lambda agents, more: {"agents": agents, **more},
    st.dictionaries(st.sampled_from(("root", "m", "a")), AGENT, min_size=1, max_size=2) | ANYTHING,
    st.dictionaries(KEYS, ANYTHING, max_size=2),
)
TOKENS = (
    *(
        "agents:\n",
        "  root:\n",
        "    model: ",
        "    toolsets:\n",
        "      - ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "&a ",
        "*a",
    ),
    *(
        "\n",
        " ",
        "<<: ",
        "!!binary ",
        "!x ",
        "|",
        ">",
        "- ",
        "? ",
        "'",
        '"',
        "#",
        "\t",
        "\0",
        "---\n",
        "%YAML ",
        "é",
    ),
)


def loaded(text: str | bytes) -> None:
    with bounded():
        try:
            load_team(text, source="a.yaml", environment={"X": "x"})
        except InvalidAgentConfig:
            return


@tries(200)
@given(FILES.map(lambda file: yaml.safe_dump(file, allow_unicode=True)))
def test_anything_of_an_agent_files_form_is_a_team_or_has_problems(text: str) -> None:
    loaded(text)


@tries(80)
@given(st.one_of(joined(TOKENS), st.text(max_size=80), large(TOKENS, size=600), st.binary(max_size=60)))
@example("agents: &a [" + "*a, " * 10 + "]")
@example("[" * 1_000)
@example("agents:\n" + "".join(f"  {'a' * i}: &x{i} {{a: *x{i - 1}, b: *x{i - 1}}}\n" for i in range(1, 60)))
@example("agents: {root: {model: " + "1" * 20_000 + "}}")
def test_any_text_is_a_team_or_has_problems(text: str | bytes) -> None:
    loaded(text)


TASK_KEYS = st.sampled_from(("tasks", "id", "title", "status", "dependencies", "priority", "a", "", "1"))
TASK_VALUES = st.recursive(
    LEAVES | st.sampled_from(("pending", "done", "a", "1", "high", "\ud800", "\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TASK_KEYS, inner, max_size=4),
    max_leaves=15,
)
TASK = st.dictionaries(TASK_KEYS, TASK_VALUES, max_size=4) | TASK_VALUES
TASK_FILES = st.builds(
    lambda tasks: {"tasks": tasks}, st.dictionaries(TASK_KEYS, TASK, max_size=4) | TASK_VALUES
)
TASK_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_tasks", {}),
    ("next_task", {}),
    ("get_task", {"id": "a"}),
    ("create_task", {"title": "t", "dependencies": ["a"]}),
    ("update_task", {"id": "a", "title": "t", "status": "done"}),
    ("add_dependency", {"taskId": "a", "dependsOnId": "1"}),
    ("remove_dependency", {"taskId": "a", "dependsOnId": "1"}),
    ("delete_task", {"id": "a"}),
)


def test_any_file_of_tasks_is_worked_on_or_refused(tmp_path: Path) -> None:
    tasks, bench = TasksToolset(), Workbench(tmp_path, FakeCancellation(), {})

    @tries(60)
    @given(st.one_of(TASK_FILES.map(json.dumps).map(str.encode), st.binary(max_size=40)))
    @example(b'{"tasks":' + b"[" * LARGE)
    @example(b'{"tasks":{"a":{"dependencies":["1"]},"1":{"dependencies":["a"]}}}')
    @example(json.dumps({"tasks": {str(i): {"dependencies": [str(i + 1)]} for i in range(3000)}}).encode())
    def each(data: bytes) -> None:
        for name, arguments in TASK_CALLS:
            bench.write("tasks.json", data)
            with bounded():
                try:
                    result = find(tasks, name).call(arguments, bench.context)
                except ToolFailed:
                    continue
            orjson.dumps(str(result))

    each()


COLUMNS = st.sampled_from(("id", "created_at", "memory", "category", "x"))
CELLS = (
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=6) | st.binary(max_size=6)
)
TABLES = st.tuples(
    st.lists(COLUMNS, min_size=1, max_size=5, unique=True),
    st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=4),
)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def _worked_on(path: Path) -> None:
    file = MemoryFile(Sandbox(path.parent), path.name)
    for work in (
        file.all,
        lambda: file.search("a", ""),
        lambda: file.add("a", "b"),
        lambda: file.update("a", "b", "c"),
        lambda: file.delete("a"),
    ):
        with bounded():
            try:
                found = work()
            except MemoryFailed:
                continue
        if isinstance(found, list):
            assert all(isinstance(one.memory, str) and isinstance(one.id, str) for one in found)


def test_any_table_of_memories_is_worked_on_or_refused(memory: Path) -> None:
    @tries(60)
    @given(TABLES)
    def each(table: tuple[list[str], list[list[Any]]]) -> None:
        columns, rows = table
        memory.unlink(missing_ok=True)
        with closing(sqlite3.connect(memory)) as database, database:
            database.execute(f"CREATE TABLE memories ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            database.executemany(
                f"INSERT INTO memories VALUES ({marks})", [row[: len(columns)] for row in rows]
            )
        _worked_on(memory)

    each()


def test_a_damaged_file_of_memories_is_worked_on_or_refused(memory: Path) -> None:
    MemoryFile(Sandbox(memory.parent), memory.name).add("a", "b")
    whole = memory.read_bytes()

    @tries(150)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=4)), max_size=6))
    def each(changes: list[tuple[int, bytes]]) -> None:
        data = bytearray(whole)
        for place, change in changes:
            data[place : place + len(change)] = change
        for beside in memory.parent.glob("memory.db-*"):
            beside.unlink()
        memory.write_bytes(data)
        _worked_on(memory)

    each()
