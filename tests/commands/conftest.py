"""One server for all commands that ask one, and the command as a process of its own."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from anthropic_standin.standin_server import OfflineServer
from app.commands.main import cli
from baton_client import BatonClient
from tests.conftest import AGENTS
from tests.harness.process import ROOT, BatonProcess, eventually

START = "from app.commands.main import main; main()"
HEED_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # `&` in a script takes it away
)
MAIN = [sys.executable, "-c", f"{HEED_CTRL_C}; {START}"]
SECONDS = 60.0
CTRL_C = "\x03"


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def process(directory: Path, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS) as one:
        yield one


@pytest.fixture
def baton(process: BatonProcess, model: OfflineServer) -> Iterator[BatonClient]:
    """For what a test prepares and looks at."""
    with BatonClient(process.url) as one:
        yield one


def environment(url: str, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "BATON_URL": url,
        **more,
    }


Call = Callable[..., Done]
Script = Sequence[tuple[str, str | Callable[[], str]]]
"""What to wait for, and what to type then, or what makes it."""


@pytest.fixture
def call(process: BatonProcess, model: OfflineServer) -> Call:
    """Runs `baton WORDS…` without a terminal, in this process."""

    def run(*words: str, said: str = "", **settings: str) -> Done:
        clean = dict.fromkeys(os.environ)  # nothing of the environment around the tests
        runner = CliRunner(env={**clean, **environment(process.url, **settings)})
        done = runner.invoke(cli, words, input=said, prog_name="baton")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def talk(process: BatonProcess, directory: Path, model: OfflineServer) -> Call:
    """Runs it on a terminal: each of `script` is what to wait for, and what to type then."""

    def run(*words: str, script: Script, **settings: str) -> Done:
        ours, theirs = pty.openpty()
        command = subprocess.Popen(
            [*MAIN, *words],
            cwd=directory,
            env=environment(process.url, **{"TERM": "xterm", "COLUMNS": "160", **settings}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        waiting = list(script)
        try:
            shown = _converse(command, ours, waiting)
            code = command.wait(SECONDS)
        finally:
            command.kill()
            command.wait()
            os.close(ours)
        assert not waiting, f"{waiting[0][0]!r} was not shown in {shown!r}"
        return Done(code, shown.replace("\r\n", "\n"), "")

    return run


def _converse(
    command: subprocess.Popen[bytes], terminal: int, script: list[tuple[str, str | Callable[[], str]]]
) -> str:
    """The text that was shown until the end. Takes answers from the script, and removes them there."""
    shown, answered = b"", 0
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        shown += piece
        while script and (place := shown.find(script[0][0].encode(), answered)) >= 0:
            expected, given = script.pop(0)
            typed = given() if callable(given) else given
            answered = place + len(expected)
            if typed == CTRL_C:
                eventually(lambda: _sleeps(command.pid), "the command waits, and hears a signal at once")
                command.send_signal(signal.SIGINT)
            else:
                os.write(terminal, typed.encode())
    return shown.decode(errors="replace")


def _sleeps(process: int) -> bool:
    """Python hears of a signal that comes just before it begins to wait only after that wait."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
