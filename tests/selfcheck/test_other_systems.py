"""On a system that is not Linux the checks say what is weaker there, and ask for nothing that it can't have."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

import pytest

from app.roots import OwnFiles
from app.selfcheck import cage_check, system_check
from app.setting_fields import InvalidSettings
from app.settings import Settings
from tests.conftest import make_settings


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_linux_lacks_nothing() -> None:
    assert list(system_check.what_is_weaker()) == []


def test_the_doctor_says_what_is_weaker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(select, "POLLRDHUP")
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(system_check, "_SELF", tmp_path / "stat")
    found = list(system_check.what_is_weaker())
    assert [finding.subject for finding in found] == [
        *("hang-ups", "lost clients", "dead processes", "commands of tools", "environment")
    ]
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert "\n## On a Mac\n" in page
    assert {finding.state for finding in found} == {"warning"}


def test_a_cage_is_refused_in_words_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (finding,) = cage_check.check_cage(make_settings(tmp_path, "http://127.0.0.1:1", sandbox="bubblewrap"))
    assert (finding.state, finding.text) == ("failed", "only Linux has bubblewrap, and so a cage")


def test_a_path_of_a_socket_is_as_long_as_the_system_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "unix:/run/" + "b" * 102
    assert Settings.from_environment({"BATON_BIND": path}).bind == path
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InvalidSettings, match="longer than 103 bytes"):
        Settings.from_environment({"BATON_BIND": path})


def test_the_servers_own_directory_is_held_in_any_spelling(tmp_path: Path) -> None:
    """A second name for the same directory, as a disk gives that doesn't tell capital letters from small ones."""
    own = tmp_path / "own"
    (own / "inner").mkdir(parents=True)
    (tmp_path / "OWN").symlink_to(own)
    files = OwnFiles.of([own])
    assert files.hold(tmp_path / "OWN")
    assert files.hold(tmp_path / "OWN" / "inner")
    assert files.hold(tmp_path / "OWN" / "nothing")
    assert not files.hold(tmp_path)
    assert not files.hold(tmp_path / "other")


def test_a_file_of_the_server_that_is_not_there_yet_is_known_in_any_spelling_on_a_mac(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = OwnFiles.of([tmp_path / "baton.db-wal"])
    assert not files.marks().name(tmp_path.stat(), "BATON.DB-wal")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert files.marks().name(tmp_path.stat(), "BATON.DB-wal")
