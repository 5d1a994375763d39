"""Nothing leads out of the working directory: not `..`, not a path, not a link, not a race."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from app.agent.tools import path_walk
from app.agent.tools.sandbox import FileRefused, Sandbox
from tests.agent.tools.workbench import Workbench

OUTSIDE = "path is outside the working directory"


@pytest.fixture
def sandbox(bench: Workbench) -> Sandbox:
    (bench.root.parent / "secret.txt").write_text("secret")
    (bench.root.parent / "secrets").mkdir()
    (bench.root.parent / "secrets" / "key").write_text("secret")
    return Sandbox(bench.root)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "a/../../secret.txt",
        "./../secret.txt",
        "..",
        "a/b/../../../secrets/key",
        "/etc/passwd",
    ],
)
def test_a_path_that_leads_out_is_refused(bench: Workbench, sandbox: Sandbox, path: str) -> None:
    (bench.root / "a" / "b").mkdir(parents=True)
    with pytest.raises(FileRefused, match=OUTSIDE):
        sandbox.read(path, 100)


def test_an_absolute_path_that_only_begins_like_the_root_is_refused(sandbox: Sandbox) -> None:
    for path in (f"{sandbox.root}-other/x", f"{sandbox.root}/../secret.txt"):
        with pytest.raises(FileRefused, match=OUTSIDE):
            sandbox.read(path, 100)


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        ("out", "../secret.txt", "out"),
        ("out", "../secrets", "out/key"),
        ("deep/out", "../../secrets", "deep/out/key"),
        ("out", "/etc/passwd", "out"),
        ("out", "/", "out/etc/passwd"),
        ("up", "..", "up/secret.txt"),
    ],
)
def test_a_link_that_leads_out_is_refused(
    bench: Workbench, sandbox: Sandbox, link: str, target: str, path: str
) -> None:
    (bench.root / "deep").mkdir()
    (bench.root / link).symlink_to(target)
    with pytest.raises(FileRefused, match=OUTSIDE):
        sandbox.read(path, 100)
    with pytest.raises(FileRefused, match=OUTSIDE):
        sandbox.write(path, b"overwritten")
    assert (bench.root.parent / "secret.txt").read_text() == "secret"


def test_a_new_file_behind_a_link_is_not_created_outside(bench: Workbench, sandbox: Sandbox) -> None:
    (bench.root / "out").symlink_to("../secrets")
    (bench.root / "dangling").symlink_to("../new")
    for action in (
        lambda: sandbox.write("out/new", b"x"),
        lambda: sandbox.write("dangling", b"x"),
        lambda: sandbox.make_directories("out/new/deeper"),
        lambda: sandbox.make_directories("dangling/deeper"),
        lambda: sandbox.remove_directory("out/key"),
        lambda: sandbox.entries("out"),
    ):
        with pytest.raises(FileRefused, match=OUTSIDE):
            action()
    assert os.listdir(bench.root.parent / "secrets") == ["key"]
    assert not (bench.root.parent / "new").exists()


@pytest.mark.parametrize("target", ["real", "./real", "../work/real", "real/../real"])
def test_a_link_that_stays_inside_is_followed(bench: Workbench, sandbox: Sandbox, target: str) -> None:
    bench.write("real/file", "inside")
    (bench.root / "link").symlink_to(target if target != "../work/real" else bench.root / "real")
    content = sandbox.read("link/file", 100)
    assert (content.data, content.path) == (b"inside", "real/file")


def test_writing_through_a_link_changes_its_target_and_keeps_the_link(
    bench: Workbench, sandbox: Sandbox
) -> None:
    bench.write("real", "old")
    (bench.root / "link").symlink_to("real")
    sandbox.write("link", b"new")
    assert (bench.root / "link").is_symlink()
    assert (bench.root / "real").read_text() == "new"


def test_links_in_a_circle_are_refused(bench: Workbench, sandbox: Sandbox) -> None:
    (bench.root / "a").symlink_to("b")
    (bench.root / "b").symlink_to("a")
    with pytest.raises(FileRefused, match="too many levels of symbolic links"):
        sandbox.read("a", 100)


def test_a_directory_swapped_for_a_link_in_mid_walk_does_not_lead_out(
    bench: Workbench, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("folder/key", "inside")
    enter = path_walk.enter

    def swap_then_enter(name: str, fd: int) -> int:
        (bench.root / "folder").rename(bench.root / "moved")
        (bench.root / "folder").symlink_to("../secrets")
        return enter(name, fd)

    monkeypatch.setattr(path_walk, "enter", swap_then_enter)
    with pytest.raises(FileRefused, match=r"not a directory|too many levels"):
        sandbox.read("folder/key", 100)


def test_a_file_swapped_for_a_link_before_it_is_opened_does_not_lead_out(
    bench: Workbench, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("file", "inside")
    around = path_walk.detour

    def look_then_swap(start: path_walk.WalkStart, fd: int, names: list[str], i: int) -> list[str] | None:
        found = around(start, fd, names, i)
        (bench.root / "file").unlink()
        (bench.root / "file").symlink_to("../secret.txt")
        return found

    monkeypatch.setattr(path_walk, "detour", look_then_swap)
    with pytest.raises(FileRefused, match="too many levels of symbolic links"):
        sandbox.read("file", 100)


def test_pipes_and_devices_are_refused_without_waiting(bench: Workbench, sandbox: Sandbox) -> None:
    os.mkfifo(bench.root / "pipe")
    with pytest.raises(FileRefused, match="not a regular file"):
        sandbox.read("pipe", 100)
    with pytest.raises(FileRefused, match="no such device or address"):
        sandbox.write("pipe", b"x")


@pytest.mark.parametrize("path", ["nul\0byte", "half\ud800pair", "x" * 300, "a/" * 3000])
def test_a_path_that_no_system_takes_is_refused_in_words(sandbox: Sandbox, path: str) -> None:
    with pytest.raises(FileRefused) as refused:
        sandbox.read(path, 100)
    str(refused.value).encode()


def test_writing_keeps_the_mode_and_leaves_nothing_else(bench: Workbench, sandbox: Sandbox) -> None:
    script = bench.write("script", "old")
    script.chmod(0o751)
    sandbox.write("script", b"new")
    assert stat.S_IMODE(script.stat().st_mode) == 0o751
    assert os.listdir(bench.root) == ["script"]


def test_a_write_that_fails_leaves_the_old_file(
    bench: Workbench, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("file", "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileRefused, match="no space left on device"):
        sandbox.write("file", b"new")
    assert os.listdir(bench.root) == ["file"]
    assert (bench.root / "file").read_text() == "old"


def test_a_missing_root_is_an_answer_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no such file or directory"):
        Sandbox(tmp_path / "gone").entries(".")


def test_a_root_behind_a_link_is_reached_by_both_its_names(bench: Workbench) -> None:
    bench.write("file", "x")
    alias = bench.root.parent / "alias"
    alias.symlink_to(bench.root)
    for path in (alias / "file", bench.root / "file"):
        assert Sandbox(alias).read(str(path), 10).data == b"x"


@pytest.mark.parametrize("swapped", ["above", "above/mine"])
def test_a_working_directory_that_becomes_a_link_at_the_last_moment_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """Between the look where it really lies and the first step into it."""
    root = tmp_path / "above" / "mine"
    for directory in (root, tmp_path / "other" / "mine"):
        directory.mkdir(parents=True)
    (tmp_path / "other" / "mine" / "a.txt").write_text("hidden")
    files = Sandbox(root, within=(tmp_path / "above",))
    resolve = Path.resolve

    def resolve_and_swap(path: Path, strict: bool = False) -> Path:
        found = resolve(path, strict)
        if path == root and not (tmp_path / "away").exists():
            (tmp_path / swapped).rename(tmp_path / "away")
            (tmp_path / swapped).symlink_to(tmp_path / swapped.replace("above", "other"))
        return found

    monkeypatch.setattr(Path, "resolve", resolve_and_swap)
    with pytest.raises(FileRefused):
        files.read("a.txt", 100)
    assert (tmp_path / "away").exists()
