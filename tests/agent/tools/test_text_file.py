"""Files that are text of any kind: what is changed keeps the file's line ends, its encoding and its mark."""

from __future__ import annotations

import codecs
from typing import Any

import pytest

from app.agent.tools.filesystem import FilesystemToolset
from tests.agent.tools.workbench import Workbench

UTF_16 = codecs.BOM_UTF16_LE + "één\r\ntwo\r\n".encode("utf-16-le")


def edited(bench: Workbench, before: bytes, *edits: tuple[str, str]) -> bytes | str:
    """The file's content afterwards, or the reason why it did not change."""
    bench.write("f", before)
    pairs = [{"oldText": old, "newText": new} for old, new in edits]
    result = bench.call(FilesystemToolset(), "edit_file", path="f", edits=pairs)
    after = (bench.root / "f").read_bytes()
    assert not result.is_error or after == before
    return result.output if result.is_error else after


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\n", b"x\r\ny\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", "a\r\nb", "x\ny\nz", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\n", "b", "b\nc", b"a\r\nb\r\nc\r\n"),
        (b"a\r\nb", "b", "b\nc", b"a\r\nb\r\nc"),
        (b"a\r\nb\r\n", "a\nb\n", "", b""),
        (b"a\nb\n", "a\r\nb", "x\r\ny", b"x\ny\n"),
        (b"a\rb\rc", "a\nb", "x\ny", b"x\ry\rc"),
        (b"a\rb\rc", "b", "b\nd", b"a\rb\rd\rc"),
        (b"a\r\nb\nc\r\nd", "a\nb\nc\n", "x\ny\nz\n", b"x\r\ny\nz\r\nd"),
        (b"a\r\nb\nc\n", "b", "b\nx", b"a\r\nb\nx\nc\n"),
        (b"a\r\nb\nc\rd", "c\nd", "x\ny", b"a\r\nb\nx\ry"),
        (b"a\nspin\rdone\nb\n", "spin\rdone", "spin\rover", b"a\nspin\rover\nb\n"),
        (b"one\ntwo", "two\n", "three\n", b"one\nthree"),
        (b"one\r\ntwo", "one\ntwo\n", "1\n2\n3\n", b"1\r\n2\r\n3"),
        (b"one", "one", "one\n", b"one\n"),
        (b"a\n\nb\n", "\n\n", "\n", b"a\nb\n"),
        (b"a\r\n\r\nb\r\n", "a\n\nb", "a\nb", b"a\r\nb\r\n"),
    ],
)
def test_an_edit_fits_whatever_line_ends_it_is_written_with_and_keeps_those_of_the_file(
    bench: Workbench, before: bytes, old: str, new: str, after: bytes
) -> None:
    assert edited(bench, before, (old, new)) == after


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_a_file_keeps_its_encoding_and_its_mark(bench: Workbench, encoding: str) -> None:
    def encoded(text: str) -> bytes:
        return (codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b"") + text.encode(encoding)

    before, after = "één\r\ntwo \xa9\r\n", "éé\r\nén\r\n2 \xa9\r\n"
    bench.write("f", encoded(before))
    assert bench.call(FilesystemToolset(), "read_file", path="f").output == before
    assert edited(bench, encoded(before), ("één\n", "éé\nén\n"), ("two", "2")) == encoded(after)
    assert edited(bench, encoded(before), ("\ufeffgone", "")) == "Edit 1 failed: old text not found"


def test_what_an_encoding_does_not_have_is_not_written(bench: Workbench) -> None:
    assert edited(bench, b"caf\xe9", ("caf", "→")) == "Edit 1 failed: the file is cp1252, which has no '→'"


def test_the_mark_that_an_edit_begins_with_is_the_files(bench: Workbench) -> None:
    before = codecs.BOM_UTF8 + b"a\nb\n"
    assert edited(bench, before, ("\ufeffa\n", "x\n")) == codecs.BOM_UTF8 + b"x\nb\n"
    assert edited(bench, before, ("a", "\ufeffx")) == codecs.BOM_UTF8 + b"x\nb\n"


def test_damaged_utf_8_is_edited_around_the_damage(bench: Workbench) -> None:
    before = "é ".encode() + b"\xff one\r\ntwo"
    assert edited(bench, before, ("one\ntwo", "1\n2")) == "é ".encode() + b"\xff 1\r\n2"


@pytest.mark.parametrize(
    ("before", "old", "times"),
    [
        (b"a\nb\na\n", "a", "twice (in lines 1, 3)"),
        (b"a\r\nb\r\na\r\nb\r\n", "a\nb\n", "twice (in lines 1, 3)"),
        (b"aaa", "aa", "twice (in line 1)"),
        (b"a\n" * 9, "a", "several times (in lines 1, 2, 3, 4, 5, …)"),
    ],
)
def test_what_is_found_more_than_once_is_not_edited(
    bench: Workbench, before: bytes, old: str, times: str
) -> None:
    words = "give more of what stands around it, so that it can be only one place"
    assert edited(bench, before, (old, "x")) == f"Edit 1 failed: old text found {times}; {words}"


def test_an_edit_is_judged_by_what_the_edits_before_it_left(bench: Workbench) -> None:
    assert edited(bench, b"a\na b\n", ("a b", "c"), ("a", "d")) == b"d\nc\n"


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (UTF_16, "new\n", codecs.BOM_UTF16_LE + "new\n".encode("utf-16-le")),
        (codecs.BOM_UTF8 + b"x", "é", codecs.BOM_UTF8 + "é".encode()),
        (codecs.BOM_UTF8 + b"x", "\ufeffé", codecs.BOM_UTF8 + "é".encode()),
        (b"a\r\nb", "a\nb\n", b"a\nb\n"),
        (b"caf\xe9", "é", "é".encode()),
    ],
)
def test_a_file_that_is_written_anew_keeps_its_mark_and_gets_the_line_ends_that_it_is_given(
    bench: Workbench, before: bytes, content: str, after: bytes
) -> None:
    bench.write("f", before)
    bench.call(FilesystemToolset(), "write_file", path="f", content=content)
    assert (bench.root / "f").read_bytes() == after


def test_utf_16_is_searched_and_read_like_other_text(bench: Workbench) -> None:
    bench.write("f", UTF_16)
    found = bench.call(FilesystemToolset(), "search_files_content", path=".", query="één")
    assert found.output == f"{bench.root}/f:1:1: één"
    several: Any = bench.call(FilesystemToolset(), "read_multiple_files", paths=["f"])
    assert "één\r\ntwo" in several.output
