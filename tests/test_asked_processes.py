"""Where there is no /proc, as on macOS, `ps` and `sysctl` say which process runs. Here they are scripts that answer as
macOS does, and the system's own `ps`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.conversation.run import Owner
from app.runtime.process_identity import probe, this_process

UUID = "8F1A6A5B-2C0D-4C79-9B39-6C6B2F2F1D11"
NO_PROCESS = 2**22 + 1

Say = Callable[[str, str], None]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Makes a program of this name write this, in a process that takes itself for one on macOS."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def say(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (tmp_path / name).chmod(0o755)

    say("sysctl", UUID)
    return say


@pytest.fixture
def here(say: Say) -> Owner:
    say("ps", "Ss   Sat Nov 28 11:31:08 2026    ")
    return this_process()


def test_the_start_of_a_process_is_known(here: Owner) -> None:
    assert (here.boot, here.pid, here.started) == (f"{UUID}/one", os.getpid(), "Sat Nov 28 11:31:08 2026")
    assert probe(here, seen_from=here) == "alive"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("S    Sat Nov 28 11:31:08 2026", "alive"),
        ("T    Sat Nov 28 11:31:08 2026", "alive"),
        ("S    Sat Nov 28 11:31:09 2026", "gone"),
        ("Z    Sat Nov 28 11:31:08 2026", "gone"),
        ("", "unknown"),
        ("S", "unknown"),
    ],
)
def test_a_process_that_exists_is_told_by_its_start(
    here: Owner, say: Say, answer: str, expected: str
) -> None:
    say("ps", answer)
    assert probe(replace(here, pid=os.getppid()), seen_from=here) == expected


def test_a_process_that_does_not_exist_is_gone_under_any_name_of_the_machine(here: Owner) -> None:
    dead = replace(here, pid=NO_PROCESS)
    assert probe(dead, seen_from=here) == "gone"
    assert probe(replace(dead, host="name-in-another-network/"), seen_from=here) == "gone"


@pytest.mark.parametrize("other", ["", "/one", "A0000000-2C0D-4C79-9B39-6C6B2F2F1D11/one", f"{UUID}/pid:[1]"])
def test_a_process_of_another_boot_or_system_proves_nothing(here: Owner, other: str) -> None:
    assert probe(replace(here, pid=NO_PROCESS, boot=other), seen_from=here) == "unknown"


def test_a_system_that_names_no_boot_leaves_it_to_the_lease(say: Say) -> None:
    say("sysctl", "")
    here = this_process()
    assert here.boot == ""
    assert probe(replace(here, pid=NO_PROCESS), seen_from=here) == "unknown"


def test_the_real_ps_names_a_start(say: Say) -> None:
    here = this_process()
    assert len(here.started.split()) == 5
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert (
            probe(replace(here, pid=child.pid, started="Thu Jan 1 00:00:00 1970"), seen_from=here) == "gone"
        )
