"""The tools of agent_toolset_20260401: a shell that stays, and files, in the words of Anthropic's own worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from app.agent.preview import Preview
from app.agent.tools.agent_toolset import AgentToolset
from app.agent.tools.fetch import FetchToolset
from app.agent.tools.web_fetch import WebFetchToolset
from app.agent.toolset import ToolCancelled, ToolResult
from app.team.web_spec import WebFetchSpec
from tests.agent.tools.pictures import drawn
from tests.agent.tools.web_site import running as web_site
from tests.agent.tools.workbench import Workbench, find

LOCAL = ("bash", "read", "write", "edit", "glob", "grep")


@pytest.fixture
def tools(bench: Workbench) -> Iterator[AgentToolset]:
    made = AgentToolset(LOCAL, environment=bench.environment)
    yield made
    made.stop()


def said(result: ToolResult) -> tuple[str, bool]:
    return result.output, result.is_error


def bash(bench: Workbench, tools: AgentToolset, command: str, **more: object) -> tuple[str, bool]:
    return said(bench.call(tools, "bash", command=command, **more))


def test_a_shell_keeps_its_state_between_calls(bench: Workbench, tools: AgentToolset) -> None:
    begin = "mkdir in; cd in; export A='x y'; B=2; twice() { echo $1 $1; }; sleep 100 &"
    assert bash(bench, tools, begin) == ("", False)
    assert bash(bench, tools, "pwd; echo $A $B; twice z; jobs -r | wc -l") == (
        f"{bench.root}/in\nx y 2\nz z\n1",
        False,
    )


@pytest.mark.parametrize(
    ("command", "output", "failed"),
    [
        ("echo out; echo err >&2", "out\nerr", False),
        ("printf '\\033[1;31mred\\033[0m'", "red", False),
        ("echo so far; (exit 3)", "so far", True),
        ("false", "exit status 1", True),
        ("echo bye; exit 0", "bye", False),
        ("echo bye; exit 4", "bye", True),
        ("kill -KILL $$", "signal: killed", True),
        ("cat", "", False),
        ("set -e; false; echo never", "exit status 1", True),
        ("printf 'caf\\351 \\000'", "caf\ufffd \ufffd", False),
        ("cat <<'END'\n$A 'quoted' \"too\"\nEND", "$A 'quoted' \"too\"", False),
    ],
)
def test_a_command_ends_in_the_workers_words(
    bench: Workbench, tools: AgentToolset, command: str, output: str, failed: bool
) -> None:
    assert bash(bench, tools, command) == (output, failed)
    assert bash(bench, tools, "echo the next") == ("the next", False)


def test_a_command_that_makes_no_sense_leaves_the_shell_as_it_was(
    bench: Workbench, tools: AgentToolset
) -> None:
    bash(bench, tools, "B=2")
    output, failed = bash(bench, tools, "if")
    assert ("syntax error" in output, failed) == (True, True)
    assert bash(bench, tools, "echo $B") == ("2", False)


@pytest.mark.parametrize("arguments", [{}, {"command": " \n"}, {"restart": False}])
def test_a_command_is_required(bench: Workbench, tools: AgentToolset, arguments: dict[str, object]) -> None:
    assert said(bench.call(tools, "bash", **arguments)) == ("bash: command is required", True)


def test_a_restart_begins_anew(bench: Workbench, tools: AgentToolset) -> None:
    bash(bench, tools, "mkdir in; cd in; export A=1")
    assert said(bench.call(tools, "bash", restart=True)) == ("bash session restarted", False)
    assert bash(bench, tools, "pwd; echo [$A]") == (f"{bench.root}\n[]", False)


def test_of_a_long_output_the_end_is_kept(bench: Workbench, tools: AgentToolset) -> None:
    output, failed = bash(bench, tools, "seq 100000; echo the end")
    assert output.startswith("[output truncated]\n")
    assert output.endswith("100000\nthe end")
    assert 90_000 < len(output) < 103_000
    assert not failed


def test_a_command_out_of_time_is_ended_with_all_that_it_started(
    bench: Workbench, tools: AgentToolset
) -> None:
    bash(bench, tools, "mkdir in; cd in; export A=1")
    output, failed = bash(bench, tools, "echo so far; setsid sleep 100 & sleep 100", timeout_ms=200)
    assert (output.split("\n")[0], failed) == ("bash: bash command timed out after 0.2s", True)
    assert bench.processes() == []
    assert bash(bench, tools, "pwd; echo $A") == (f"{bench.root}/in\n1", False)


def test_a_cancel_ends_a_command_with_all_that_it_started(bench: Workbench, tools: AgentToolset) -> None:
    begun = bench.when_signalled(bench.cancellation.cancel)
    with pytest.raises(ToolCancelled, match=r"(?s)stopped at work.*so far"):
        bash(bench, tools, f"echo so far; setsid sleep 100 & echo > {begun}; sleep 100")
    assert bench.processes() == []


def test_the_end_of_a_run_ends_the_shell_and_its_jobs(bench: Workbench, tools: AgentToolset) -> None:
    bash(bench, tools, "setsid sleep 100 & sleep 100 &")
    assert bench.processes() != []
    tools.stop()
    assert bench.processes() == []


def test_the_next_run_begins_where_the_last_one_ended(bench: Workbench, tools: AgentToolset) -> None:
    bash(bench, tools, 'mkdir in; cd in; export A="it\'s\nmine"; unset HOME; B=2; cd ../in')
    tools.stop()
    state = tools.state()
    assert set(state["exported"]) == {"A"}
    again = AgentToolset(LOCAL, environment=bench.environment, state=state)
    assert bash(bench, again, 'pwd; echo "$A"; echo [$B]') == (f"{bench.root}/in\nit's\nmine\n[]", False)
    again.stop()
    assert AgentToolset(LOCAL, environment=bench.environment).state() is None


def test_a_directory_that_is_gone_is_no_way_to_begin(bench: Workbench) -> None:
    state = {"directory": f"{bench.root}/gone", "exported": {}}
    tools = AgentToolset(LOCAL, environment=bench.environment, state=state)
    assert bash(bench, tools, "pwd") == (str(bench.root), False)
    tools.stop()


def test_a_shell_sees_no_secret_of_the_server(bench: Workbench) -> None:
    environment = {**bench.environment, "ANTHROPIC_API_KEY": "hush-hush", "BATON_AUTH_TOKENS": "hush-hush"}
    tools = AgentToolset(LOCAL, environment=environment)
    output, _ = bash(bench, tools, "env")
    assert "hush-hush" not in output
    tools.stop()


def test_read_gives_text_as_it_is_and_lines_of_it(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("a.txt", "one\r\ntwo\nthree\n")
    assert said(bench.call(tools, "read", file_path="a.txt")) == ("one\r\ntwo\nthree\n", False)
    absolute = str(bench.root / "a.txt")
    assert said(bench.call(tools, "read", file_path=absolute, view_range=[2, 3])) == ("two\nthree", False)
    assert said(bench.call(tools, "read", file_path="a.txt", view_range=[3, 0])) == ("three\n", False)
    result = bench.call(tools, "read", file_path="a.txt", view_range=[1])
    assert said(result) == ("read: view_range must be [start_line, end_line]", True)


def test_read_names_its_limits(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("long.txt", "x" * 99 + "\n" + "y\n" * 200_000)
    output, failed = said(bench.call(tools, "read", file_path="long.txt"))
    assert (output.startswith("read: long.txt is 400100 bytes, exceeds 262144-byte limit."), failed) == (
        True,
        True,
    )
    assert said(bench.call(tools, "read", file_path="long.txt", view_range=[2, 3])) == ("y\ny", False)
    output, failed = said(bench.call(tools, "read", file_path="long.txt", view_range=[1, 0]))
    assert ("view_range [1, 0] of long.txt exceeds 262144-byte limit" in output, failed) == (True, True)


def test_read_shows_pictures_documents_and_notebooks(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("p.png", drawn(3, 2))
    picture = bench.call(tools, "read", file_path="p.png")
    assert [kind for kind, _ in picture.images] == ["image/png"]
    bench.write("d.pdf", b"%PDF-1.4\n/Type /Page\n%%EOF\n")
    document = bench.call(tools, "read", file_path="d.pdf")
    assert [kind for kind, _ in document.documents] == ["application/pdf"]
    for path in ("p.png", "d.pdf"):
        result = bench.call(tools, "read", file_path=path, view_range=[1, 2])
        assert said(result) == ("read: view_range is not supported for image/PDF files", True)
    bench.write("n.ipynb", '{"cells": []}')
    assert said(bench.call(tools, "read", file_path="n.ipynb")) == ('{"cells": []}', False)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read", {}),
        ("write", {"content": "x"}),
        ("edit", {"old_string": "a", "new_string": "b"}),
    ],
)
def test_file_tools_reach_nothing_outside(
    bench: Workbench, tools: AgentToolset, tool: str, arguments: dict[str, str]
) -> None:
    outside = bench.root.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("a")
    os.symlink(outside, bench.root / "link")
    os.symlink(outside / "f", bench.root / "file")
    for path in ("../outside/f", str(outside / "f"), "link/f", "file", "link/new"):
        output, failed = said(bench.call(tools, tool, file_path=path, **arguments))
        assert (output, failed) == (f"{tool}: path {path!r} is outside the session's working directory", True)
    assert (outside / "f").read_text() == "a"
    assert not (outside / "new").exists()


def test_what_is_no_file_is_refused(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("dir/b.bin", b"\0\1")
    os.mkfifo(bench.root / "pipe")
    words = {
        "none": "read: none: no such file or directory",
        "dir": "read: dir: is a directory",
        "pipe": "read: pipe: not a regular file",
    }
    for path, expected in words.items():
        assert said(bench.call(tools, "read", file_path=path)) == (expected, True)
    output, failed = said(bench.call(tools, "read", file_path="dir/b.bin"))
    assert ("not valid UTF-8 text" in output, failed) == (True, True)


def test_write_makes_the_directories_and_counts_bytes(bench: Workbench, tools: AgentToolset) -> None:
    result = bench.call(tools, "write", file_path="a/b/c.txt", content="é\n")
    assert said(result) == ("wrote 3 bytes to a/b/c.txt", False)
    assert (bench.root / "a/b/c.txt").read_text() == "é\n"


def test_edit_replaces_one_or_all(bench: Workbench, tools: AgentToolset) -> None:
    file = bench.write("f", "a b a")

    def edit(old: str, new: str, **more: object) -> tuple[str, bool]:
        return said(bench.call(tools, "edit", file_path="f", old_string=old, new_string=new, **more))

    assert edit("a", "c") == ("edit: old_string appears 2 times in f (must be unique)", True)
    assert edit("z", "c") == ("edit: old_string not found in f", True)
    assert edit("", "c") == ("edit: f: old text is empty", True)
    assert edit("b", "B") == ("edited f (1 replacement(s))", False)
    assert edit("a", "c", replace_all=True) == ("edited f (2 replacement(s))", False)
    assert edit("z", "c", replace_all=True) == ("edit: old_string not found in f", True)
    assert file.read_text() == "c B c"


def test_edit_keeps_line_ends(bench: Workbench, tools: AgentToolset) -> None:
    file = bench.write("f", "a\r\nb\r\nc\r\n")
    result = bench.call(tools, "edit", file_path="f", old_string="a\nb\n", new_string="x\ny\n")
    assert said(result) == ("edited f (1 replacement(s))", False)
    assert file.read_bytes() == b"x\r\ny\r\nc\r\n"


def test_glob_finds_the_newest_first(bench: Workbench, tools: AgentToolset) -> None:
    for age, path in enumerate(["a.py", "in/b.py", "in/deep/c.py", "in/d.js", "in/.e.py"]):
        os.utime(bench.write(path), (1000 - age, 1000 - age))

    def glob(pattern: str, **more: str) -> list[str]:
        output, failed = said(bench.call(tools, "glob", pattern=pattern, **more))
        assert not failed
        return [line.removeprefix(f"{bench.root}/") for line in output.split("\n")]

    assert glob("**/*.py") == ["a.py", "in/b.py", "in/deep/c.py", "in/.e.py"]
    assert glob("*.py") == ["a.py"]
    assert glob("*/*.{js,py}") == ["in/b.py", "in/d.js", "in/.e.py"]
    assert glob("**/c.py", path="in") == ["in/deep/c.py"]
    assert glob("*.rs") == ["no matches"]
    assert bench.call(tools, "glob", pattern="/etc/*").output.startswith("glob: absolute pattern")
    assert bench.call(tools, "glob", pattern="../*").output == "glob: '..' is not permitted in the pattern"


def test_glob_ends_at_two_hundred(bench: Workbench, tools: AgentToolset) -> None:
    for number in range(210):
        bench.write(f"f{number}")
    assert len(bench.call(tools, "glob", pattern="*").output.split("\n")) == 200


def test_searches_follow_no_link_out(bench: Workbench, tools: AgentToolset) -> None:
    outside = bench.root.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("needle")
    os.symlink(outside, bench.root / "link")
    os.symlink(outside / "f", bench.root / "file")
    assert bench.call(tools, "glob", pattern="**/*").output == "no matches"
    assert bench.call(tools, "grep", pattern="needle").output == "no matches"
    for tool in ("glob", "grep"):
        output, failed = said(bench.call(tools, tool, pattern="needle", path="link"))
        assert (output, failed) == (f"{tool}: path 'link' is outside the session's working directory", True)


def test_grep_shows_each_line_with_its_place(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("a.txt", "no\nneedle 1\r\nneedle 22\n")
    bench.write("in/b.txt", "a needle\n")
    bench.write(".git/c", "needle")
    bench.write("bin", b"needle\0")
    lines = [
        f"{bench.root}/a.txt:2:needle 1",
        f"{bench.root}/a.txt:3:needle 22",
        f"{bench.root}/in/b.txt:1:a needle",
    ]
    assert bench.call(tools, "grep", pattern="needle").output.split("\n") == lines
    assert bench.call(tools, "grep", pattern=r"\d\d$", path="a.txt").output.split("\n") == lines[1:2]
    output, failed = said(bench.call(tools, "grep", pattern="("))
    assert (output.startswith("grep: invalid regex: "), failed) == (True, True)


def test_grep_ends_at_its_limit(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("a.txt", ("needle" + "x" * 990 + "\n") * 200)
    output = bench.call(tools, "grep", pattern="needle").output
    assert output.endswith("\n[output truncated at 102400 bytes]")
    assert len(output) < 103_000


def test_only_tools_that_read_run_side_by_side(tools: AgentToolset) -> None:
    beside = {name for name in LOCAL if find(tools, name).runs_beside_others}
    assert beside == {"read", "glob", "grep"}


def test_a_change_is_shown_before_it_is_made(bench: Workbench, tools: AgentToolset) -> None:
    bench.write("f", "a\nb\na\n")

    def preview(name: str, **arguments: object) -> Preview:
        show = find(tools, name).preview
        assert show is not None
        return show({"file_path": "f", **arguments}, bench.context)

    assert preview("write", content="a\n").diff == "@@ -1,3 +1,1 @@\n a\n-b\n-a"
    assert preview("edit", old_string="b", new_string="c").diff == "@@ -1,3 +1,3 @@\n a\n-b\n+c\n a"
    assert preview("edit", old_string="a", new_string="c", replace_all=True).diff.count("\n+c") == 2
    assert "would fail" in preview("edit", old_string="a", new_string="c").problem
    assert (bench.root / "f").read_text() == "a\nb\na\n"


def test_a_page_is_text_of_at_most_so_many_tokens(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    reaching = partial(FetchToolset, allow_private=True)
    monkeypatch.setattr("app.agent.tools.web_fetch.FetchToolset", reaching)
    tools = WebFetchToolset(WebFetchSpec(max_content_tokens=5))
    with web_site() as site:
        site.add("/short", b"<h1>Hello</h1>", kind="text/html")
        site.add("/long", b"x" * 100)
        assert said(bench.call(tools, "web_fetch", url=site.url("/short"))) == ("Hello", False)
        cut = ("x" * 20 + "\n\n[content truncated]", False)
        assert said(bench.call(tools, "web_fetch", url=site.url("/long"))) == cut
        output, failed = said(bench.call(tools, "web_fetch", url=site.url("/none")))
        assert (output.startswith("url_not_accessible: the server answered 404"), failed) == (True, True)
    blocked = WebFetchToolset(WebFetchSpec(blocked_domains=("example.com",)))
    output, failed = said(bench.call(blocked, "web_fetch", url="http://www.example.com/"))
    assert (output.startswith("url_not_allowed: "), failed) == (True, True)
