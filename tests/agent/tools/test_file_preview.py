"""What a person is shown before a file is written: the change, within bounds, and nothing that the tool can't read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from app.agent.preview import Preview
from app.agent.tools import file_preview
from app.agent.tools.file_preview import MAX_BYTES, MAX_LINES, unified
from app.agent.tools.filesystem import FilesystemToolset
from tests.agent.tools.workbench import Workbench, find


def preview(bench: Workbench, name: str, **arguments: Any) -> Preview:
    tool = find(FilesystemToolset(), name)
    assert tool.preview is not None
    return tool.preview(tool.fit(arguments), bench.context)


def edit(bench: Workbench, path: str, *pairs: tuple[str, str]) -> Preview:
    return preview(bench, "edit_file", path=path, edits=[{"oldText": a, "newText": b} for a, b in pairs])


def test_an_edit_is_shown_with_its_lines_and_what_stands_around_them(bench: Workbench) -> None:
    bench.write("a.txt", "".join(f"line {number}\n" for number in range(1, 21)))
    seen = edit(bench, "a.txt", ("line 10\n", "ten\nand more\n"))
    assert (seen.path, seen.change, seen.problem, seen.digest) == ("a.txt", "change", "", None)
    assert seen.diff.split("\n") == [
        "@@ -7,7 +7,8 @@",
        *(" line 7", " line 8", " line 9"),
        *("-line 10", "+ten", "+and more"),
        *(" line 11", " line 12", " line 13"),
    ]
    assert (bench.root / "a.txt").read_text().count("line 10\n") == 1, "nothing was written"


def test_a_new_file_and_its_directories_are_not_made(bench: Workbench) -> None:
    seen = preview(bench, "write_file", path="new/dir/a.txt", content="one\ntwo")
    assert (seen.change, seen.digest) == ("create", "")
    assert seen.diff.split("\n") == ["@@ -0,0 +1,2 @@", "+one", "+two", "\\ No newline at end of file"]
    assert not (bench.root / "new").exists()


def test_the_digest_tells_whether_the_file_is_still_the_same(bench: Workbench) -> None:
    bench.write("a.txt", "one\n")
    first = preview(bench, "write_file", path="a.txt", content="two\n")
    again = preview(bench, "write_file", path="a.txt", content="three\n")
    bench.write("a.txt", "changed\n")
    later = preview(bench, "write_file", path="a.txt", content="two\n")
    assert first.digest == again.digest
    assert first.digest not in ("", later.digest)


ODD: list[tuple[bytes, str, str, str]] = [
    (b"\x00\x01binary", "text", "change", "the file is binary (8 bytes), so its content is not shown"),
    (b"same\n", "same\n", "none", ""),
    ("gr\xfcn\n".encode("cp1252"), "gr\xfcn\n", "change", "only its encoding changes"),
    (b"x" * 1_000_001, "y", "change", "the file has 1,000,001 bytes, which are too many to compare"),
    (
        b"x",
        "y" * 1_000_001,
        "change",
        "the new content has 1,000,001 characters, which are too many to compare",
    ),
]


@pytest.mark.parametrize(("there", "content", "change", "problem"), ODD)
def test_what_is_not_shown_says_why(
    bench: Workbench, there: bytes, content: str, change: str, problem: str
) -> None:
    bench.write("a", there)
    seen = preview(bench, "write_file", path="a", content=content)
    assert (seen.change, seen.problem, seen.diff) == (change, problem, "")


def test_an_edit_that_would_fail_says_so(bench: Workbench) -> None:
    bench.write("a.txt", "one\none\n")
    assert edit(bench, "a.txt", ("two", "three")).problem == "edit 1 would fail: old text not found"
    assert edit(bench, "a.txt", ("one", "x")).problem.startswith("edit 1 would fail: old text found twice")
    assert edit(bench, "gone.txt", ("one", "x")).problem == "there is no such file"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "link"])
def test_nothing_outside_the_working_directory_is_shown(bench: Workbench, tmp_path: Path, path: str) -> None:
    (bench.root.parent / "secret").write_text("secret")
    (bench.root / "link").symlink_to(bench.root.parent / "secret")
    for seen in (preview(bench, "write_file", path=path, content="x"), edit(bench, path, ("secret", "x"))):
        assert (seen.change, seen.diff) == ("unknown", "")
        assert seen.problem


def test_line_ends_that_change_can_be_seen(bench: Workbench) -> None:
    bench.write("a.txt", "one\r\ntwo\r\n")
    seen = preview(bench, "write_file", path="a.txt", content="one\ntwo\r\n")
    assert seen.diff.split("\n")[1:] == ["-one\r", "+one", " two\r"]


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    old = "".join(f"{number}\n" for number in range(3_000))
    new = "".join(f"{number} changed\n" for number in range(3_000))
    diff, left_out = unified(old, new)
    assert diff.count("\n") + 1 == MAX_LINES
    assert left_out == 6_001 - MAX_LINES
    diff, left_out = unified("", "é" * 990 + "\n" + ("é" * 990 + "\n") * 400)
    assert len(diff.encode()) <= MAX_BYTES
    assert left_out
    assert len(unified("", "x" * 100_000)[0]) < 1_200


@pytest.mark.parametrize("seed", range(20))
def test_diffs_can_be_applied(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where too many lines differ to be compared."""
    words = random.Random(seed)
    old = [words.choice("abcdef") for _ in range(words.randrange(40))]
    new = [line for line in old if words.random() > 0.2]
    for _ in range(words.randrange(5)):
        new.insert(words.randrange(len(new) + 1), words.choice("xyz"))
    ends = [words.choice(["", "\n"]) for _ in range(2)]
    before, after = "\n".join(old) + ends[0], "\n".join(new) + ends[1]
    monkeypatch.setattr(file_preview, "MAX_MATCHED", words.choice([2, 1000]))
    diff, left_out = unified(before, after)
    assert left_out == 0
    assert applied(before, diff) == after


def applied(before: str, diff: str) -> str:
    """The text after the change; fails if the diff does not fit the text before it."""
    left, made = before.splitlines(keepends=True), []
    done, last = 0, ""
    for line in diff.split("\n") if diff else ():
        sign, text = line[:1], f"{line[1:]}\n"
        match sign:
            case "@":
                start, length = map(int, line.split()[1][1:].split(","))
                first = start - 1 if length else start
                made += left[done:first]
                done = first
            case "\\":
                made[-1:] = [made[-1].removesuffix("\n")] if last != "-" else made[-1:]
            case "+":
                made.append(text)
            case _:
                assert left[done].removesuffix("\n") == text.removesuffix("\n")
                made += [left[done]] if sign == " " else []
                done += 1
        last = sign
    return "".join([*made, *left[done:]])
