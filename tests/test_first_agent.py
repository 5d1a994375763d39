"""docs/first-agent.md from its first line to its last: files are written and commands are typed as the page says, in an
empty directory, and what comes is what the page shows."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.process import ROOT, BatonProcess, free_port

PAGE = (ROOT / "docs" / "first-agent.md").read_text()
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = "agents/notes.yaml"
ANSWER = re.compile(r": (y)$", re.MULTILINE)
QUESTION = ": "
SECONDS = 60
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BatonProcess]:
    """Not started yet: the page says when. Without a key, so a stand-in of its own plays the model."""
    settings = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": "", "BATON_TITLES": "on"}
    command = [str(Path(sys.executable).with_name("baton")), "serve"]
    process = BatonProcess(
        tmp_path,
        model_url="",
        agents=tmp_path / "agents",
        settings=settings,
        command=command,
        port=free_port(),
    )
    yield process
    process.stop()


def test_every_command_of_the_page_does_what_the_page_shows(tmp_path: Path, server: BatonProcess) -> None:
    (tmp_path / "agents").mkdir()
    kinds = []
    for kind, text in BLOCK.findall(PAGE):
        kinds.append(kind)
        if kind == "yaml":
            (tmp_path / FILE).write_text(text)
        elif text == "baton serve\n":
            server.start()
        elif kind == "console":
            for command, expected in dialogues(text):
                answers = ANSWER.findall(expected)
                shown = typed(command, answers, tmp_path, server.url)
                assert re.fullmatch(pattern(expected), shown.strip()), f"$ {command}\n{shown}"
    assert kinds == [
        "sh",
        "yaml",
        *("console", "sh", "console", "console", "yaml"),
        *("console",) * 2,
        "yaml",
        "console",
    ]


def dialogues(text: str) -> list[tuple[str, str]]:
    """Commands, and what they show. A command goes on over lines that are indented."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        command = re.match(r".*(?:\n    .*)*", part)
        assert command is not None
        found.append((command[0], part[command.end() :].strip()))
    return found


def pattern(expected: str) -> str:
    return "(?s:.*)".join(map(re.escape, expected.split("…")))


def typed(command: str, answers: list[str], directory: Path, url: str) -> str:
    """What a terminal shows. Each question is answered once it is there."""
    here, there = pty.openpty()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "BATON_URL": url,
        "COLUMNS": "200",
        "TERM": "dumb",
    }
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=directory,
        env=environment,
        stdin=there,
        stdout=there,
        stderr=there,
        start_new_session=True,
    )
    os.close(there)
    shown = ""
    while piece := _read(here):
        shown = COLOURS.sub("", shown + piece).replace("\r", "")
        if answers and shown.endswith(QUESTION):
            os.write(here, f"{answers.pop(0)}\n".encode())
    os.close(here)
    if process.wait() < 0:
        raise AssertionError(signal.Signals(-process.returncode))
    assert not answers, f"no question came: {shown}"
    return shown


def _read(terminal: int) -> str:
    """Empty when nobody writes to it any more."""
    assert select.select([terminal], [], [], SECONDS)[0], "the command says nothing more, and does not end"
    try:
        return os.read(terminal, 65_536).decode()
    except OSError:
        return ""
