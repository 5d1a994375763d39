"""A command is stopped, with all that it started, even by a server that can't look at its processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from app.agent.tools.process_mark import STARTING, marking
from app.agent.tools.processes import Command, Process, run
from app.agent.tools.regex_search import RegexSearch
from tests.agent.tools.workbench import Workbench

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

WITHOUT_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from app.agent.tools.processes import Command, Process

process = Process(Command(["sleep", "1000"], Path("/"), dict(os.environ)), kept=100)
open_now = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + int(sys.argv[1]), 64))
print(process.end())
"""

WITH_A_LOW_LIMIT = """
import os, resource
from pathlib import Path
from app.agent.tools.processes import Command, Process

resource.setrlimit(10, (1000, 1000))
os.setuid(65534) if os.getuid() == 0 else None
process = Process(Command(["true"], Path("/"), {"PATH": os.environ["PATH"]}), kept=100)
process.follow()
print(process.end())
"""

TIMES = 25


@pytest.mark.parametrize("left", [0, 1], ids=["none left", "one left"])
def test_a_command_ends_though_no_descriptor_is_left_to_look_for_its_processes(left: int) -> None:
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, str(left)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert ended.stdout.strip() == b"-15"


REPLACED = """
import os
while os.path.exists("escape"):
    if os.fork():
        os._exit(0)
    os.setsid()
"""
FOUNTAIN = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while os.path.exists("escape"):
    if not os.fork():
        os.setsid()
        time.sleep(0.1)
        os._exit(0)
    time.sleep(0.001)
"""
ESCAPES = {
    "a daemon": ("while [ -e escape ]; do sleep 1; done", "sh"),
    "always in exec": ("exec env -i sh escape", "sh"),
    "always in exec, with its environment": ("exec sh escape", "sh"),
    "always in fork and exec": ("sh escape & exit", "sh"),
    "a new session each time": ("setsid env -i sh escape & exit", "sh"),
    "replaced by its child": (REPLACED, f"{sys.executable} -I -S"),
    "more children all the time": (FOUNTAIN, f"{sys.executable} -I -S"),
}


@pytest.mark.parametrize(("program", "interpreter"), ESCAPES.values(), ids=ESCAPES)
def test_nothing_outlives_its_command_however_it_leaves_it(
    program: str, interpreter: str, bench: Workbench
) -> None:
    """Whatever lives holds the pipe open: in a session of its own, without a parent or environment, at no moment in
    a list of all processes."""
    escape = bench.write("escape", program)  # without it, none of them goes on
    os.mkfifo(bench.root / "alive")
    leave = f"exec 9>alive; setsid sh -c 'setsid env -i PATH=$PATH {interpreter} escape & echo out >&9'"
    command = Command(["/bin/sh", "-c", leave], bench.root, bench.environment)
    try:
        for _ in range(TIMES):
            reading = os.open(bench.root / "alive", os.O_RDONLY | os.O_NONBLOCK)
            with open(reading, "rb", buffering=0) as pipe:
                assert run(command, timeout=None, cancellation=bench.cancellation).status == 0
                assert pipe.read(100) == b"out\n"
                assert pipe.read(100) == b"", "a process has the pipe open"
    finally:
        escape.unlink()


def test_a_process_that_is_started_beside_a_command_does_not_get_its_mark(bench: Workbench) -> None:
    """It would be ended with it."""
    process = Process(Command(["sleep", "1000"], bench.root, bench.environment), kept=10)
    try:
        with RegexSearch("a", bench.cancellation) as search:
            assert process.end() == -15
            assert search.spans(b"a") == [(0, 0, 1)]
    finally:
        process.end()


def test_the_mark_is_taken_back_once_the_process_has_started() -> None:
    before = resource.getrlimit(10)
    with STARTING, marking("ab" * 16):
        assert resource.getrlimit(10)[0] == int(("ab" * 16)[:15], 16)
    assert resource.getrlimit(10) == before


def test_a_lower_limit_of_the_operators_costs_the_mark_and_not_the_command() -> None:
    command = [sys.executable, "-c", WITH_A_LOW_LIMIT]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout.strip() == b"0"
