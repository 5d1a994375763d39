"""A command is stopped, with all that it started, even by a server that can't look at its processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("left", [0, 1], ids=["none left", "one left"])
def test_a_command_ends_though_no_descriptor_is_left_to_look_for_its_processes(left: int) -> None:
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, str(left)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert ended.stdout.strip() == b"-15"
