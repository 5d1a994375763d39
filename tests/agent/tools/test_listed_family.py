"""What a command started is found and stopped where there is no pidfd, as on macOS: `ps` says what there is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from app.agent.tools import process_family
from app.agent.tools.process_family import Family, Member, kill_marked
from app.agent.tools.processes import Command, run
from app.asked_processes import Listed
from tests.agent.cancellation import FakeCancellation


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.delattr(signal, "pidfd_send_signal")


def sh(script: str, directory: Path) -> Command:
    return Command(["/bin/sh", "-c", script], directory, {"PATH": "/usr/bin:/bin"})


def is_gone(pid: int) -> bool:
    """Or a zombie, whose parent is the first process by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_a_command_left_behind_is_stopped_and_named(tmp_path: Path) -> None:
    ended = run(sh("sleep 300 & echo $!", tmp_path), timeout=30, cancellation=FakeCancellation())
    assert ended.status == 0
    assert ended.left == ("sleep 300",)
    assert is_gone(int(ended.output))


def test_a_child_in_a_session_of_its_own_is_stopped_with_its_parent(tmp_path: Path) -> None:
    script = "setsid sh -c 'sleep 300; :' & sleep 300"
    ended = run(sh(script, tmp_path), timeout=0.5, cancellation=FakeCancellation())
    assert ended.status is None
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _works_in(pid, tmp_path)]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == directory and not is_gone(pid)
    except OSError:
        return False


def test_zombies_are_no_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only their parent can end them."""
    group = os.getpgrp()
    listed = [
        *(Listed(11, 1, group, "S"), Listed(12, 1, group, "Z"), Listed(13, 11, 13, "S")),
        *(Listed(14, 12, 14, "S"), Listed(15, 1, 15, "S")),
    ]
    monkeypatch.setattr(process_family, "all_processes", lambda: iter(listed))
    assert Family(group, "").members() == {Member(11, 0, True), Member(13, 0, False), Member(14, 0, False)}


def test_without_an_answer_of_ps_the_group_is_all_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_family, "all_processes", lambda: iter(()))
    assert Family(os.getpgrp(), "").members() == {Member(os.getpgrp(), 0, True)}


def test_a_mark_alone_reaches_nobody() -> None:
    kill_marked("ab" * 16)  # a group of its number would be everybody's
