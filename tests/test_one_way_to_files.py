"""Files of sessions are opened in one module. A new place that opens a path must be looked at, and named here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

APP: Final = Path(__file__).parents[1] / "app"

OPENING: Final = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "walk",
    "glob",
    "rglob",
    "iterdir",
    "scandir",
    "listdir",
    "connect",
    "load",
    "safe_load",
    "compose",
}
"""Names of functions that open what a path names, or read YAML."""

KNOWN: Final = {
    ("agent/tools/sandbox.py", "open"),
    ("agent/tools/sandbox.py", "scandir"),
    ("agent/tools/path_walk.py", "open"),
    ("agent/tools/placed_files.py", "open"),  # in a directory that the sandbox has walked to
    ("agent/tools/mirrored_files.py", "open"),  # below a directory that was walked to, and no link
    ("runtime/own_directories.py", "open"),  # likewise
    ("runtime/own_directories.py", "glob"),  # the server's own marks beside the directories of sessions
    ("agent/tools/memory_file.py", "connect"),  # a path that the sandbox has prepared
    ("agent/tools/process_family.py", "read_bytes"),  # /proc
    ("agent/tools/process_family.py", "read_text"),
    ("agent/tools/process_family.py", "listdir"),
    ("agent/tools/process_mark.py", "open"),  # /proc
    ("agent/tools/processes.py", "open"),  # /dev/null
    ("runtime/process_identity.py", "read_bytes"),  # /proc
    ("team/team_directory.py", "listdir"),  # agent files, which the operator writes
    ("team/team_directory.py", "read_bytes"),
    ("team/loading.py", "read_bytes"),
    ("team/yaml_document.py", "compose"),
    ("web/console.py", "read_bytes"),  # files of the program
    ("web/console.py", "read_text"),
    ("web/console.py", "rglob"),
    ("web/reference.py", "glob"),  # files of the program
    ("web/reference.py", "read_bytes"),
}


def opened() -> Iterator[tuple[str, str]]:
    for part in ("agent", "runtime", "team", "web", "conversation"):
        for file in sorted((APP / part).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and (name := _name(node.func)):
                    yield str(file.relative_to(APP)), name


def _name(function: ast.expr) -> str:
    """The function's name, if it opens something: `open`, a method of a path, or a function of `os` or `yaml`."""
    if isinstance(function, ast.Name):
        return function.id if function.id == "open" else ""
    if not isinstance(function, ast.Attribute) or function.attr not in OPENING:
        return ""
    module = function.value.id if isinstance(function.value, ast.Name) else ""
    ambiguous = function.attr in ("open", "walk", "connect", "load", "compose")
    return "" if ambiguous and module not in ("os", "yaml", "sqlite3") else function.attr


def test_only_known_places_open_files_by_their_path() -> None:
    assert set(opened()) - KNOWN == set()


def test_all_places_that_are_named_here_are_there() -> None:
    assert KNOWN - set(opened()) == set()
