"""A session's directory comes from a stranger: whatever lies in it, nothing from outside reaches the model, the
database or an answer, and no thread hangs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.path_walk import MAX_NAMES
from app.agent.tools.sandbox import FileRefused, Sandbox
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

SECRET: Final = "canary-8d1f20"
HUGE: Final = 100_000_000

TEAM: Final = """
agents:
  root:
    model: m
    add_prompt_files: [AGENTS.md, docs/MORE.md]
    add_environment_info: true
    skills: [local]
    toolsets:
      - {type: filesystem}
      - {type: tasks, path: tasks.json}
      - {type: memory, path: memory.db}
models: {m: {provider: anthropic, model: claude-sonnet-5-5}}
"""

FILES: Final = (
    "AGENTS.md",
    "docs/MORE.md",
    ".gitignore",
    "tasks.json",
    "memory.db",
    "plain.txt",
    ".claude/skills/one/SKILL.md",
    ".claude/skills/two/more.md",
    ".agents/skills/three/SKILL.md",
)
"""Every file that is read for a session, by the server itself or by a tool."""

DIRECTORIES: Final = ("docs", ".claude", ".claude/skills", ".claude/skills/one", ".agents", ".agents/skills")

CALLS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("read_file", {"path": "plain.txt"}),
    ("read_multiple_files", {"paths": [*FILES, "../AGENTS.md"]}),
    ("edit_file", {"path": "plain.txt", "edits": [{"oldText": "c", "newText": "canary: "}]}),
    ("search_files_content", {"query": "canary", "path": "."}),
    ("search_files_content", {"query": "root:", "path": "."}),
    ("directory_tree", {"path": "."}),
    ("list_tasks", {}),
    ("create_task", {"title": "a"}),
    ("create_task", {"title": "a", "path": "plain.txt"}),
    ("get_memories", {}),
    ("add_memory", {"memory": "a"}),
    ("read_skill", {"name": "one"}),
    ("read_skill", {"name": "three"}),
    ("read_skill_file", {"skill_name": "two", "path": "more.md"}),
)

Trap = Callable[[Path, Path], None]
"""Makes a trap at the first path, with what lies outside in the second."""


def _pipe(at: Path, _outside: Path) -> None:
    os.mkfifo(at)


def _socket(at: Path, _outside: Path) -> None:
    place = os.open(at.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{place}/{at.name}")
    finally:
        os.close(place)


def _huge(at: Path, _outside: Path) -> None:
    with at.open("wb") as file:
        file.write(f"---\nname: {at.parent.name}\ndescription: {SECRET}\n---\n".encode())
        file.truncate(HUGE)


def _hard_link_to_the_database(at: Path, outside: Path) -> None:
    os.link(outside.parent / "baton.db", at)


def _device(at: Path, _outside: Path) -> None:
    """Endless zeros, for who may make a device; a pipe for others."""
    try:
        os.mknod(at, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(at)


def _sparse(at: Path, _outside: Path) -> None:
    with at.open("wb") as file:
        file.truncate(1 << 40)


TRAPS: Final[dict[str, Trap]] = {
    "link to a secret": lambda at, outside: at.symlink_to(outside / "secret"),
    "relative link": lambda at, outside: at.symlink_to(os.path.relpath(outside / "secret", at.parent)),
    "link to a link": lambda at, outside: at.symlink_to(outside.parent / "roots" / "link"),
    "environment": lambda at, _: at.symlink_to("/proc/self/environ"),
    "environment of the main thread": lambda at, _: at.symlink_to(f"/proc/{os.getpid()}/environ"),
    "passwords": lambda at, _: at.symlink_to("/etc/passwd"),
    "zeros": lambda at, _: at.symlink_to("/dev/zero"),
    "terminal": lambda at, _: at.symlink_to("/dev/tty"),
    "pipe": _pipe,
    "link to a pipe": lambda at, outside: at.symlink_to(outside / "pipe"),
    "socket": _socket,
    "device": _device,
    "sparse": _sparse,
    "huge": _huge,
    "database": lambda at, outside: at.symlink_to(outside.parent / "baton.db"),
    "hard link to the database": _hard_link_to_the_database,
    "agent file": lambda at, outside: at.symlink_to(outside.parent / "team.yaml"),
    "loop": lambda at, _: at.symlink_to(at.name),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The server's files beside `roots`, where sessions work, and `outside`, where they don't."""
    place = tmp_path
    outside = place / "outside"
    for path in (outside / "one" / "SKILL.md", outside / "skills" / "one" / "SKILL.md"):
        path.parent.mkdir(parents=True)
        path.write_text(f"---\nname: one\ndescription: {SECRET}\n---\n{SECRET}")
    for name in ("secret", "AGENTS.md", "MORE.md", "more.md", "plain.txt"):
        (outside / name).write_text(f"---\nname: one\ndescription: {SECRET}\n---\n{SECRET} root:")
    os.mkfifo(outside / "pipe")
    (place / "roots").mkdir()
    (place / "roots" / "link").symlink_to(outside / "secret")
    (place / "AGENTS.md").write_text(SECRET)  # above the root
    (place / ".gitignore").write_text("*")
    (place / ".git").mkdir()
    (place / "team.yaml").write_text(TEAM + f"# {SECRET}\n")
    return place


@pytest.fixture
def server(place: Path, model: OfflineServer) -> Iterator[Server]:
    settings = make_settings(place, model.url, agents=place / "team.yaml", roots=(place / "roots",))
    built = build(settings)
    yield built
    built.close()


@pytest.fixture
def work(place: Path) -> Path:
    """A working directory in which all is well."""
    work = place / "roots" / "work"
    work.mkdir()
    for name in FILES:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
    for name in ("one", "two"):
        (work / f".claude/skills/{name}/SKILL.md").write_text(f"---\ndescription: {name}\n---\nGood {name}.")
    (work / ".agents/skills/three/SKILL.md").write_text("---\ndescription: three\n---\nGood three.")
    for name in ("AGENTS.md", "docs/MORE.md", "plain.txt", ".claude/skills/two/more.md"):
        (work / name).write_text(f"Good {name}.")
    return work


def said_by_all_tools(server: Server, work: Path) -> str:
    """Everything that came out of one run that calls every tool that reads: events and the stored session."""
    local = LocalClient(server)
    session = local.new_session(working_dir=str(work), tools_approved=True)
    calls = "[then]".join(f"[call {name} {json.dumps(arguments)}]" for name, arguments in CALLS)
    events = local.say(session, f"{calls}[then][say done]", agent="team")
    assert events[-1]["type"] == "stream_stopped", events[-1]
    assert not [event for event in events if event["type"] == "error"]
    return json.dumps(events) + json.dumps(local.session(session))


def everything(server: Server, model: OfflineServer, said: str) -> str:
    path = server.settings.database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    try:
        rows = "\n".join(connection.iterdump())
    finally:
        connection.close()
    return said + json.dumps(model.requests) + rows


def nothing_got_in(found: str) -> None:
    environment = Path("/proc/self/environ").read_bytes().split(b"\0")[0].decode()
    for secret in (SECRET, "root:x:0", environment):
        at = found.find(secret)
        assert at < 0, found[max(0, at - 300) : at + 100]


def test_all_these_files_are_read_where_all_is_well(server: Server, model: OfflineServer, work: Path) -> None:
    found = everything(server, model, said_by_all_tools(server, work))
    for name in ("AGENTS.md", "docs/MORE.md", "plain.txt", ".claude/skills/two/more.md", "one", "three"):
        assert f"Good {name}." in found
    nothing_got_in(found)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_in_place_of_every_file_lets_nothing_in(
    server: Server, model: OfflineServer, work: Path, place: Path, trap: str
) -> None:
    before = (place / "baton.db").stat().st_ino
    for name in FILES:
        (work / name).unlink(missing_ok=True)
        TRAPS[trap](work / name, place / "outside")
    nothing_got_in(everything(server, model, said_by_all_tools(server, work)))
    assert (place / "outside" / "secret").read_text().count(SECRET) == 2
    assert (place / "baton.db").stat().st_ino == before


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_a_link_in_place_of_every_directory_lets_nothing_in(
    server: Server, model: OfflineServer, work: Path, place: Path, directory: str
) -> None:
    shutil.rmtree(work / directory)
    (work / directory).symlink_to(place / "outside")
    nothing_got_in(everything(server, model, said_by_all_tools(server, work)))


@pytest.mark.parametrize("trap", ["pipe", "socket", "device", "sparse", "loop", "zeros", "link to a pipe"])
def test_a_trap_in_place_of_every_directory_blocks_nothing(
    server: Server, model: OfflineServer, work: Path, place: Path, trap: str
) -> None:
    for name in (".claude", ".agents", "docs", ".git"):
        shutil.rmtree(work / name, ignore_errors=True)
        TRAPS[trap](work / name, place / "outside")
    nothing_got_in(everything(server, model, said_by_all_tools(server, work)))


BY_NAME: Final = (
    ("read_file", {"path": "trap"}),
    ("read_file", {"path": "trap/below"}),
    ("read_multiple_files", {"paths": ["trap", "plain.txt"]}),
    ("edit_file", {"path": "trap", "edits": [{"oldText": "a", "newText": "b"}]}),
    ("write_file", {"path": "trap", "content": "a"}),
    ("write_file", {"path": "trap/below", "content": "a"}),
    ("search_files_content", {"query": "canary", "path": "trap"}),
    ("directory_tree", {"path": "trap"}),
    ("list_directory", {"path": "trap"}),
    ("create_directory", {"paths": ["trap"]}),
    ("create_directory", {"paths": ["trap/below"]}),
    ("remove_directory", {"paths": ["trap"]}),
    ("create_task", {"title": "a", "path": "trap"}),
)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_tool_that_is_given_a_trap_by_its_name_ends(
    server: Server, model: OfflineServer, work: Path, place: Path, trap: str
) -> None:
    TRAPS[trap](work / "trap", place / "outside")
    local = LocalClient(server)
    session = local.new_session(working_dir=str(work), tools_approved=True)
    calls = "[then]".join(f"[call {name} {json.dumps(arguments)}]" for name, arguments in BY_NAME)
    events = local.say(session, f"{calls}[then][say done]", agent="team")
    assert sum(event["type"] == "tool_call_response" for event in events) == len(BY_NAME)
    nothing_got_in(everything(server, model, json.dumps(events)))


def test_directories_in_one_another_by_the_thousand_are_not_walked_to_their_end(
    server: Server, model: OfflineServer, work: Path
) -> None:
    """The work grows with the square of the depth, so what is too deep is not looked at at all."""
    for top in (".claude/skills/one", "docs"):
        here = os.open(work / top, os.O_RDONLY)
        for _ in range(MAX_NAMES * 5):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
    try:
        found = said_by_all_tools(server, work)
        deep = "docs/" + "d/" * MAX_NAMES + "x"
        with pytest.raises(FileRefused, match="file name too long"):
            Sandbox(work).read(deep, 1)
        assert "Good one." in found
    finally:
        subprocess.run(["rm", "-rf", work], check=True)  # Python's own way recurses


@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_a_link_beside_a_memory_file_is_not_followed(
    server: Server, model: OfflineServer, work: Path, place: Path, suffix: str
) -> None:
    (work / f"memory.db{suffix}").symlink_to(place / "outside" / "secret")
    said_by_all_tools(server, work)
    assert (place / "outside" / "secret").read_text().count(SECRET) == 2


ENDLESS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


GROWING: Final = f"""
CREATE TABLE memories (id, created_at, memory AS (hex(zeroblob(400000))), category);
{ENDLESS} INSERT INTO memories (id) SELECT i FROM n LIMIT 1000;
"""


@pytest.mark.parametrize(
    "schema",
    [
        f"CREATE VIEW memories AS {ENDLESS} SELECT i AS id, i AS created_at, '{SECRET}' AS memory FROM n",
        GROWING,
    ],
    ids=["endless view", "rows that grow"],
)
def test_a_memory_file_with_a_hostile_schema_is_refused(
    server: Server, model: OfflineServer, work: Path, schema: str
) -> None:
    connection = sqlite3.connect(work / "memory.db")
    connection.executescript(schema)
    connection.close()
    found = said_by_all_tools(server, work)
    assert "failed to get memories" in found
    assert len(found) < 1_000_000
