"""Odd files in a session's directory, at every place where a file is read."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any, Final

from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.recipes import made
from tests.corpus.stage import NO_RESULT, Run, Stage

PLACES: Final = {
    "read_file": "plain.txt",
    "read_multiple_files": "several.txt",
    "search_files_content": "searched.txt",
    "edit_file": "edited.txt",
    "write_file": "written.txt",
    "list_directory": "listed/file.txt",
    "directory_tree": "tree/file.txt",
    "prompt_file": "AGENTS.md",
    "ignore_file": ".gitignore",
    "skill": ".claude/skills/odd/SKILL.md",
    "skill_file": ".claude/skills/good/more.md",
    "tasks": "tasks.json",
    "memory": "memory.db",
}
"""By door, where the odd file lies."""

CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "read_file": ("read_file", {"path": "plain.txt"}),
    "read_multiple_files": ("read_multiple_files", {"paths": ["several.txt", "good.txt"]}),
    "search_files_content": ("search_files_content", {"path": ".", "query": "needle"}),
    "edit_file": ("edit_file", {"path": "edited.txt", "edits": [{"oldText": "needle", "newText": "pin"}]}),
    "write_file": ("write_file", {"path": "written.txt", "content": "new"}),
    "list_directory": ("list_directory", {"path": "listed"}),
    "directory_tree": ("directory_tree", {"path": "tree"}),
    "skill": ("read_skill", {"name": "odd"}),
    "skill_file": ("read_skill_file", {"skill_name": "good", "path": "more.md"}),
    "tasks": ("list_tasks", {}),
    "memory": ("get_memories", {}),
}

_LARGE: Final = 10_000_000

KIND: Final = Kind(
    doors=tuple(PLACES),
    takes=frozenset({"file", "edits", "query"}),
    tells=frozenset({"told", "error", "pictures", "left", "prompt", "good", "finishes"}),
    usual={"finishes": True, "good": "all is well"},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """A run with one call through each door, and one more that reads what is in order."""
    place = stage.place(case.name)
    for path in PLACES.values():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
    (place / "good.txt").write_text("all is well")
    (place / ".claude/skills/good/SKILL.md").write_text("---\ndescription: Good.\n---\nall is well")
    for path in PLACES.values():
        _put(case.given["file"], place / path)
    agent = stage.agent(
        {"type": "filesystem"},
        {"type": "tasks", "path": "tasks.json"},
        {"type": "memory", "path": "memory.db"},
        add_prompt_files=["AGENTS.md"],
        skills=["local"],
    )
    session = stage.session(place)
    wanted = [CALLS[door] for door in case.expected if door in CALLS]
    calls = "".join(f"[call {name} {json.dumps(_with(case, name, given))}]" for name, given in wanted)
    good = '[call read_file {"path": "good.txt"}]'
    run = stage.say(session, f"{calls}[then]{good}[then][say more]", agent)
    return {door: _seen(door, place, run) for door in case.expected}


def _with(case: Case, name: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == "edit_file" and "edits" in case.given:
        return {**given, "edits": case.given["edits"]}
    if name == "search_files_content" and "query" in case.given:
        return {**given, "query": case.given["query"]}
    return given


def _seen(door: str, place: Path, run: Run) -> Seen:
    found = run.first_result(CALLS[door][0]) if door in CALLS else NO_RESULT
    path = place / PLACES[door]
    return {
        "told": found.told,
        "error": found.error,
        "pictures": found.pictures,
        "left": path.read_bytes() if path.is_file() and path.stat().st_size < _LARGE else b"",
        "prompt": json.dumps(run.requests[0].get("system"), ensure_ascii=False) if run.requests else "",
        "good": run.result("read_file").told,
        "finishes": run.finishes and run.said == "more",
    }


def _put(what: Any, at: Path) -> None:
    match what:
        case {"pipe": True}:
            os.mkfifo(at)
        case {"socket": True}:
            _bind(at)
        case {"directory": True}:
            at.mkdir()
        case {"link": str(target)}:
            at.symlink_to(target)
        case {"link_to_itself": True}:
            at.symlink_to(at.name)
        case {"link_to_a_pipe": True}:
            os.mkfifo(at.with_name(f"{at.name}.pipe"))
            at.symlink_to(f"{at.name}.pipe")
        case {"mode": int(mode), "of": part}:
            at.write_bytes(made(part))
            at.chmod(mode)
        case {"holes": int(size)}:
            with at.open("wb") as file:
                file.truncate(size)
        case {"sql": str(script)}:
            connection = sqlite3.connect(at)
            connection.executescript(script)
            connection.close()
        case _:
            at.write_bytes(made(what))


def _bind(at: Path) -> None:
    """A socket's path has at most 108 bytes, so it is bound by way of its directory."""
    directory = os.open(at.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{directory}/{at.name}")
    finally:
        os.close(directory)
