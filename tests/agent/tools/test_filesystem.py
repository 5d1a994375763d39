"""The file tools: the contract's texts, and the bounds."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest

from app.agent.tools import file_reading, file_search, file_writing, regex_search
from app.agent.tools.file_search import excludes
from app.agent.tools.filesystem import FilesystemToolset
from app.agent.tools.processes import Ended
from app.agent.toolset import ToolCancelled
from app.team.toolset_spec import PostEditSpec
from tests.agent.tools.pictures import drawn, png
from tests.agent.tools.workbench import Workbench

OUTSIDE = "path is outside the working directory"


@pytest.fixture
def files() -> FilesystemToolset:
    return FilesystemToolset()


def test_reading_returns_the_text_and_counts_its_lines_for_readers(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("a.txt", "one\ntwo\n")
    result = bench.call(files, "read_file", path="a.txt")
    assert (result.output, result.is_error) == ("one\ntwo\n", False)
    assert result.meta == {"path": "", "content": "", "lineCount": 3}


def test_reading_what_is_not_there_says_not_found(bench: Workbench, files: FilesystemToolset) -> None:
    result = bench.call(files, "read_file", path="gone")
    assert (result.output, result.is_error, result.meta["error"]) == ("not found", True, "not found")


def test_other_reasons_are_given_as_the_system_gives_them(bench: Workbench, files: FilesystemToolset) -> None:
    assert bench.call(files, "read_file", path=".").output == f"open {bench.root}: is a directory"


def test_bytes_that_are_no_text_stay_visible(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("latin", b"caf\xe9\n" + b"x" * 10_000 + b"\0")
    assert bench.call(files, "read_file", path="latin").output.startswith("caf\ufffd\n")
    assert "\0" not in bench.call(files, "read_file", path="latin").output


def test_binary_and_oversized_files_are_refused_in_words(
    bench: Workbench, files: FilesystemToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("binary", b"\x7fELF\0\0")
    bench.write("big", "x" * 101)
    monkeypatch.setattr(file_reading, "MAX_TEXT", 100)
    binary, big = (bench.call(files, "read_file", path=path) for path in ("binary", "big"))
    assert (binary.is_error, binary.output) == (True, "Error: Binary file (6 bytes), not shown as text")
    assert (big.is_error, big.output) == (True, "Error: File too large (101 bytes, max 100 bytes)")


def test_a_picture_is_shown(bench: Workbench, files: FilesystemToolset) -> None:
    data = drawn(2000, 10)
    bench.write("p.txt", data)
    result = bench.call(files, "read_file", path="p.txt")
    assert result.output == f"Read image file p.txt [image/png] ({len(data)} bytes)"
    assert [(kind, base64.b64decode(body)) for kind, body in result.images] == [("image/png", data)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            png(10, 10, size=10_000_001),
            "Error: Image file too large (10000001 bytes, max 10000000 bytes)",
        ),
        (png(8001, 10), "Error: Image file too large (8001x10 pixels, max 8000 per side)"),
        (png(10, 10)[:18], "Error: Image file is damaged (image/png without a size)"),
        (drawn(300, 300)[:-200], "Error: Image file is damaged (image/png that can't be decoded)"),
    ],
)
def test_a_picture_that_the_api_would_refuse_is_refused_first(
    bench: Workbench, files: FilesystemToolset, data: bytes, words: str
) -> None:
    bench.write("p.png", data)
    result = bench.call(files, "read_file", path="p.png")
    assert (result.output, result.is_error, list(result.images)) == (words, True, [])


def test_several_files_are_read_and_a_failing_one_does_not_fail_the_call(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("a", "A")
    result = bench.call(files, "read_multiple_files", paths=["a", "gone", "../x"])
    refusal = f"open ../x: {OUTSIDE}"
    assert result.output == f"=== a ===\nA\n\n=== gone ===\nnot found\n\n=== ../x ===\n{refusal}\n\n"
    assert not result.is_error
    assert result.meta["files"][0] == {"path": "a", "content": "", "lineCount": 1}
    assert result.meta["files"][1]["error"] == "not found"


def test_several_files_can_be_read_as_json(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("a", "é")
    result = bench.call(files, "read_multiple_files", paths=["a"], json=True)
    assert result.output == '[{"path":"a","content":"é"}]'
    empty = bench.call(files, "read_multiple_files", paths=[], json=True)
    assert (empty.output, empty.meta) == ("null", {"files": None})


def test_what_several_files_hold_together_is_bounded(
    bench: Workbench, files: FilesystemToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a", "x" * 60)
    monkeypatch.setattr(file_reading, "MAX_TEXT", 100)
    output = bench.call(files, "read_multiple_files", paths=["a", "a"]).output
    assert output.endswith("=== a ===\nError: File too large (60 bytes, max 40 bytes)\n\n")


def test_writing_creates_the_directories_on_the_way(bench: Workbench, files: FilesystemToolset) -> None:
    result = bench.call(files, "write_file", path="a/b/c.txt", content="é")
    assert result.output == "File written successfully: a/b/c.txt (2 bytes)"
    assert (bench.root / "a/b/c.txt").read_text() == "é"


def test_writing_says_which_part_failed(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("file")
    (bench.root / "folder").mkdir()
    below = bench.call(files, "write_file", path="file/x", content="")
    onto = bench.call(files, "write_file", path="folder", content="")
    out = bench.call(files, "write_file", path="../x", content="")
    assert below.output == f"Error creating directory structure: mkdir {bench.root}/file: not a directory"
    assert onto.output == f"Error writing file: open {bench.root}/folder: is a directory"
    assert out.output == f"Error creating directory structure: mkdir ..: {OUTSIDE}"
    assert all(result.is_error for result in (below, onto, out))


def test_one_edit_and_several_edits_are_reported_as_the_contract_words_them(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("f", "one two six")
    one = bench.call(files, "edit_file", path="f", edits=[{"oldText": "two", "newText": "zwei"}])
    two = bench.call(
        files,
        "edit_file",
        path="f",
        edits=[{"oldText": "one", "newText": "é"}, {"OldText": "é", "newtext": ""}],
    )
    assert one.output == "File edited successfully. Replaced 3 characters"
    assert two.output == (
        "File edited successfully. Changes:\nEdit 1: Replaced 3 characters\nEdit 2: Replaced 2 characters"
    )
    assert (bench.root / "f").read_text() == " zwei six"


@pytest.mark.parametrize(("old", "reason"), [("absent", "old text not found"), ("", "old text is empty")])
def test_an_edit_that_does_not_fit_changes_nothing(
    bench: Workbench, files: FilesystemToolset, old: str, reason: str
) -> None:
    bench.write("f", "one")
    edits = [{"oldText": "one", "newText": "two"}, {"oldText": old, "newText": "x"}]
    result = bench.call(files, "edit_file", path="f", edits=edits)
    assert (result.output, result.is_error) == (f"Edit 2 failed: {reason}", True)
    assert (bench.root / "f").read_text() == "one"


def test_an_edit_leaves_bytes_that_are_no_text_as_they_are(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("f", b"caf\xe9 one\r\n")
    bench.call(files, "edit_file", path="f", edits=[{"oldText": "one", "newText": "two"}])
    assert (bench.root / "f").read_bytes() == b"caf\xe9 two\r\n"


@pytest.mark.parametrize("edits", ["text", [1], [], [{"oldText": 1}]])
def test_edits_of_a_wrong_shape_are_an_answer_for_the_model(
    bench: Workbench, files: FilesystemToolset, edits: Any
) -> None:
    bench.write("f", "1")
    result = bench.call(files, "edit_file", path="f", edits=edits)
    assert result.is_error
    assert result.output.startswith("Error calling tool: ")


def test_editing_a_missing_file_says_so(bench: Workbench, files: FilesystemToolset) -> None:
    result = bench.call(files, "edit_file", path="f", edits=[{"oldText": "a", "newText": "b"}])
    assert result.output == f"Error reading file: open {bench.root}/f: no such file or directory"


def test_post_edit_commands_run_for_matching_names_until_one_fails(bench: Workbench) -> None:
    commands = [
        PostEditSpec(path="*.txt", cmd='printf done >> "$path"'),
        PostEditSpec(path="*.py", cmd="exit 3"),
        PostEditSpec(path="*", cmd='printf " twice" >> "$path"'),
    ]
    files = FilesystemToolset(post_edit=commands, environment=bench.environment)
    assert not bench.call(files, "write_file", path="d/a.txt", content="").is_error
    assert (bench.root / "d/a.txt").read_text() == "done twice"
    failed = bench.call(files, "write_file", path="a.py", content="x")
    reason = f"post-edit command failed for {bench.root}/a.py: exit status 3"
    assert failed.output == f"File written successfully but post-edit command failed: {reason}"
    edited = bench.call(files, "edit_file", path="a.py", edits=[{"oldText": "x", "newText": "y"}])
    assert edited.output == f"File edited successfully but post-edit command failed: {reason}"
    assert (bench.root / "a.py").read_text() == "y"


def test_a_file_that_was_written_stays_so_when_its_command_is_stopped_or_can_not_start(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = bench.when_signalled(bench.cancellation.cancel)
    files = FilesystemToolset(
        post_edit=[PostEditSpec(path="*", cmd=f"echo > {pipe}; sleep 600")], environment=bench.environment
    )
    with pytest.raises(ToolCancelled, match="The file was written"):
        bench.call(files, "write_file", path="a", content="x")
    assert (bench.root / "a").read_text() == "x"

    def no_more_descriptors(*_: object, **__: object) -> Ended:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(file_writing, "run", no_more_descriptors)
    result = bench.call(files, "write_file", path="b", content="y")
    assert result.output.startswith("File written successfully but post-edit command failed: ")


def test_directories_that_were_created_before_one_failed_are_told(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("file")
    made = bench.call(files, "create_directory", paths=["a", "file"])
    assert made.is_error
    assert made.output.startswith("Directory created successfully: a\nError creating directory file: ")


def test_directories_are_created_and_removed_one_by_one(bench: Workbench, files: FilesystemToolset) -> None:
    made = bench.call(files, "create_directory", paths=["a/b", "a"])
    assert made.output == "Directory created successfully: a/b\nDirectory created successfully: a"
    full = bench.call(files, "remove_directory", paths=["a", "a/b"])
    assert full.output == f"Error removing directory a: remove {bench.root}/a: directory not empty"
    gone = bench.call(files, "remove_directory", paths=["a/b", "a"])
    assert gone.output == "Directory removed successfully: a/b\nDirectory removed successfully: a"
    assert os.listdir(bench.root) == []


def test_a_directory_cannot_be_where_a_file_is_and_the_root_cannot_go(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("f")
    made = bench.call(files, "create_directory", paths=["f"])
    assert made.output == f"Error creating directory f: mkdir {bench.root}/f: not a directory"
    assert bench.call(files, "remove_directory", paths=["."]).is_error
    assert bench.root.exists()


def test_removing_a_link_to_a_directory_removes_neither(bench: Workbench, files: FilesystemToolset) -> None:
    (bench.root / "real").mkdir()
    (bench.root / "link").symlink_to("real")
    assert bench.call(files, "remove_directory", paths=["link"]).is_error
    assert sorted(os.listdir(bench.root)) == ["link", "real"]


def test_a_listing_names_directories_and_files_in_order(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("b.txt")
    bench.write("a/x")
    (bench.root / "link").symlink_to("a")
    result = bench.call(files, "list_directory", path=".")
    assert result.output == "DIR  a\nFILE b.txt\nFILE link\n"
    assert result.meta == {"files": ["b.txt", "link"], "dirs": ["a"], "truncated": False}


def test_an_empty_listing_has_null_for_its_lists(bench: Workbench, files: FilesystemToolset) -> None:
    result = bench.call(files, "list_directory")
    assert (result.output, result.meta) == ("", {"files": None, "dirs": None, "truncated": False})


def test_a_listing_and_a_tree_stop_at_a_hundred(bench: Workbench, files: FilesystemToolset) -> None:
    for number in range(101):
        bench.write(f"f{number:03}")
    listing = bench.call(files, "list_directory", path=".")
    assert listing.output.endswith("FILE f099\n...output truncated due to file limit...\n")
    assert listing.meta["truncated"] is True
    tree = bench.call(files, "directory_tree", path=".")
    assert len(json.loads(tree.output)["children"]) == 99
    assert tree.meta == {"fileCount": 99, "dirCount": 1, "truncated": True}


def test_a_directory_that_cannot_be_read_is_named(bench: Workbench, files: FilesystemToolset) -> None:
    missing = f"open {bench.root}/x: no such file or directory"
    assert bench.call(files, "list_directory", path="x").output == f"Error reading directory: {missing}"
    tree = bench.call(files, "directory_tree", path="x")
    assert (tree.output, tree.is_error) == (f"Error building directory tree: {missing}", True)


def test_a_tree_is_compact_json_and_does_not_follow_links(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("a/b/c")
    (bench.root / "empty").mkdir()
    (bench.root / "loop").symlink_to(".")
    result = bench.call(files, "directory_tree", path=".")
    assert result.output == (
        '{"name":"work","type":"directory","children":['
        '{"name":"a","type":"directory","children":['
        '{"name":"b","type":"directory","children":[{"name":"c","type":"file"}]}]},'
        '{"name":"empty","type":"directory"},{"name":"loop","type":"file"}]}'
    )
    assert result.meta == {"fileCount": 2, "dirCount": 4, "truncated": False}


def test_names_that_are_no_text_are_shown_all_the_same(bench: Workbench, files: FilesystemToolset) -> None:
    (bench.root / os.fsdecode(b"caf\xe9")).touch()
    assert bench.call(files, "list_directory", path=".").output == "FILE caf\ufffd\n"


def test_what_version_control_hides_is_hidden_unless_asked_for(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write(".gitignore", "secret\n")
    for path in (".git/config", "secret/key", "open"):
        bench.write(path, "needle")
    everything = FilesystemToolset(ignore_vcs=False)
    assert "secret" not in bench.call(files, "list_directory", path=".").output
    assert "secret" not in bench.call(files, "directory_tree", path=".").output
    assert bench.call(files, "search_files_content", path=".", query="needle").meta["fileCount"] == 1
    assert bench.call(files, "read_file", path="secret/key").output == "needle"
    assert "DIR  secret" in bench.call(everything, "list_directory", path=".").output
    assert bench.call(everything, "search_files_content", path=".", query="needle").meta["fileCount"] == 3


@pytest.mark.parametrize(("query", "is_regex"), [("needle", False), ("n[e]+dle", True)])
def test_a_search_names_path_line_and_column_in_bytes(
    bench: Workbench, files: FilesystemToolset, query: str, is_regex: bool
) -> None:
    bench.write("d/a", "nothing\r\né needle needle\r\n")
    bench.write("b", b"caf\xe9 needle")
    result = bench.call(files, "search_files_content", path=".", query=query, is_regex=is_regex)
    assert result.output == (f"{bench.root}/b:1:6: caf\ufffd needle\n{bench.root}/d/a:2:4: é needle needle")
    assert result.meta == {"matchCount": 2, "fileCount": 2}


def test_a_long_line_is_cut_to_the_match_and_its_surroundings(
    bench: Workbench, files: FilesystemToolset
) -> None:
    bench.write("f", "a" * 200 + "needle" + "b" * 200)
    result = bench.call(files, "search_files_content", path="f", query="needle")
    assert result.output == f"{bench.root}/f:1:201: {'a' * 20}needle{'b' * 20}"


def test_a_search_without_result_says_so(bench: Workbench, files: FilesystemToolset) -> None:
    result = bench.call(files, "search_files_content", path=".", query="x")
    assert (result.output, result.meta) == ("No results found", {"matchCount": 0, "fileCount": 0})


def test_a_search_skips_binary_big_and_linked_files(
    bench: Workbench, files: FilesystemToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_search, "MAX_FILE", 100)
    bench.write("binary", b"needle\0")
    bench.write("big", "needle" * 20)
    bench.write("good", "needle")
    (bench.root.parent / "out").write_text("needle")
    (bench.root / "link").symlink_to("../out")
    os.mkfifo(bench.root / "pipe")
    result = bench.call(files, "search_files_content", path=".", query="needle")
    assert result.output == f"{bench.root}/good:1:1: needle"


def test_a_search_stops_after_a_thousand_matches(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("f", "x\n" * 1500)
    for is_regex in (False, True):
        result = bench.call(files, "search_files_content", path=".", query="x", is_regex=is_regex)
        assert result.meta["matchCount"] == 1000
        assert result.output.endswith("\n...output truncated after 1000 matches...")


@pytest.mark.parametrize("pattern", ["(", "a\0(", "(?P<\ud800>x)"])
def test_a_bad_pattern_is_an_error_in_words(bench: Workbench, files: FilesystemToolset, pattern: str) -> None:
    result = bench.call(files, "search_files_content", path=".", query=pattern, is_regex=True)
    assert result.is_error
    assert result.output.startswith("Invalid regex pattern: ")


def test_a_pattern_that_would_run_for_ever_is_given_up(
    bench: Workbench, files: FilesystemToolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regex_search, "SECONDS", 0.3)
    bench.write("f", "a" * 60 + "!")
    result = bench.call(files, "search_files_content", path=".", query="(a+)+$", is_regex=True)
    assert result.is_error
    assert "takes too long" in result.output


def test_a_cancel_ends_a_pattern_that_would_run_for_ever(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("f", "a" * 60 + "!")
    os.mkfifo(bench.root / "z.fifo")
    cancelled_while_searching = bench.cancellation.calling

    class CancelsAtTheText:
        """Cancels when the worker is asked for the second time: first comes the pattern, then the text."""

        asked = 0

        def is_set(self) -> bool:
            return bench.cancellation.is_set()

        def wait(self, timeout: float) -> bool:
            return bench.cancellation.wait(timeout)

        def calling(self, callback: Any) -> Any:
            self.asked += 1
            if self.asked == 2:
                bench.cancellation.cancel()
            return cancelled_while_searching(callback)

    search = next(tool for tool in files.tools() if tool.name == "search_files_content")
    context = type(bench.context)(bench.root, CancelsAtTheText())
    with pytest.raises(ToolCancelled):
        search.call({"path": ".", "query": "(a+)+$", "is_regex": True}, context)


def test_a_cancel_ends_a_search(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("f", "x")
    bench.cancellation.cancel()
    with pytest.raises(ToolCancelled):
        bench.call(files, "search_files_content", path=".", query="x")
    with pytest.raises(ToolCancelled):
        bench.call(files, "directory_tree", path=".")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("vendor/*", "vendor/a/b", True),
        ("vendor/*", "vendor", True),
        ("vendor/*", "src/vendor/a", False),
        ("*.md", "a/b/x.md", True),
        ("vendor", "vendor/a/b", True),
        ("a/*.txt", "a/x.txt", True),
        ("a/*.txt", "a/b/x.txt", False),
        ("x", "y", False),
    ],
)
def test_exclude_patterns_name_subtrees_paths_names_and_prefixes(
    pattern: str, path: str, expected: bool
) -> None:
    assert excludes(pattern, path) is expected


def test_excluded_paths_are_not_searched(bench: Workbench, files: FilesystemToolset) -> None:
    bench.write("vendor/a/b", "needle")
    bench.write("src/b", "needle")
    result = bench.call(files, "search_files_content", path=".", query="needle", excludePatterns=["vendor/*"])
    assert result.output == f"{bench.root}/src/b:1:1: needle"


def test_no_file_tool_leads_out_of_the_working_directory(bench: Workbench, files: FilesystemToolset) -> None:
    outside = bench.root.parent / "outside"
    outside.mkdir()
    (outside / "key").write_text("needle")
    (bench.root / "link").symlink_to(outside)
    for where in ("../outside", str(outside), "link"):
        edit = [{"oldText": "needle", "newText": "x"}]
        results = [
            bench.call(files, "read_file", path=f"{where}/key"),
            bench.call(files, "edit_file", path=f"{where}/key", edits=edit),
            bench.call(files, "write_file", path=f"{where}/key", content="x"),
            bench.call(files, "write_file", path=f"{where}/new", content="x"),
            bench.call(files, "create_directory", paths=[f"{where}/new"]),
            bench.call(files, "remove_directory", paths=[f"{where}/new"]),
            bench.call(files, "list_directory", path=where),
            bench.call(files, "directory_tree", path=where),
            bench.call(files, "search_files_content", path=where, query="needle"),
        ]
        assert all(result.is_error and OUTSIDE in result.output for result in results)
        assert "needle" not in bench.call(files, "read_multiple_files", paths=[f"{where}/key"]).output
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("key", "needle")]
