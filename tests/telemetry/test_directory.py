"""The directory that workers share: fresh, swept, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.telemetry import metrics_directory
from app.telemetry.metrics_directory import VARIABLE


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def pid_of_the_dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_each_server_gets_a_directory_of_its_own_and_tells_its_children(tmp_path: Path) -> None:
    made = metrics_directory.make(tmp_path)
    assert os.environ[VARIABLE] == str(made)
    assert made.stat().st_mode & 0o777 == 0o700
    second = metrics_directory.make(tmp_path)  # as a server does that inherited the first one's environment
    assert second != made
    metrics_directory.remove()
    assert (made.exists(), second.exists()) == (True, False)


def test_what_killed_servers_have_left_is_swept_up_and_what_others_use_is_not(tmp_path: Path) -> None:
    left = tmp_path / f"baton-metrics-{pid_of_the_dead()}-x"
    used = tmp_path / f"baton-metrics-{os.getpid()}-x"
    foreign = tmp_path / "something-else"
    for path in (left, used, foreign):
        path.mkdir()
    metrics_directory.make(tmp_path)
    assert [path.exists() for path in (left, used, foreign)] == [False, True, True]


def test_a_server_that_proc_does_not_show_keeps_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where /proc is not mounted, or hides the processes of other users."""
    used = tmp_path / f"baton-metrics-{os.getppid()}-x"
    used.mkdir()
    monkeypatch.setattr(Path, "exists", lambda path: "/proc" not in str(path) and os.path.exists(path))
    metrics_directory.make(tmp_path)
    assert used.is_dir()


def test_a_directory_that_the_operator_names_is_emptied_of_numbers_and_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "counter_1.db").touch()
    (given / "notes.txt").touch()
    monkeypatch.setenv(VARIABLE, str(given))
    assert metrics_directory.make(tmp_path) == given
    assert [path.name for path in given.iterdir()] == ["notes.txt"]
    metrics_directory.remove()
    assert given.exists()


def test_what_another_server_sweeps_up_at_the_same_moment_holds_up_no_start(tmp_path: Path) -> None:
    """It was listed, and is gone when it is looked at."""
    (tmp_path / f"baton-metrics-{pid_of_the_dead()}-x").symlink_to(tmp_path / "gone")
    assert metrics_directory.make(tmp_path).is_dir()
