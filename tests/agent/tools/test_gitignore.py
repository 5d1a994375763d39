"""The .gitignore rules agree with git's own judgement."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from app.agent.tools.gitignore import MAX_RULES, Ignored
from app.agent.tools.sandbox import Sandbox
from tests.agent.tools.workbench import Workbench

RULES = """
# comment
*.log
!keep.log
/rooted
build/
docs/*.txt
**/deep/x
a/**/z
all/**
\\#hash
\\!bang
star\\*
trailing\\~
spaces~~~
[a-c]1
[!a-c]2
[^d]3
q?
mid/dle
*.tmp
!important/
foo*bar*baz
""".replace("~", " ")
NESTED = "inner.txt\n!special.tmp\n/top\n"
PATHS = [
    *["x.log", "keep.log", "sub/x.log", "sub/keep.log", "rooted", "sub/rooted", "build/f", "sub/build/f"],
    *["docs/a.txt", "docs/sub/a.txt", "deep/x", "p/q/deep/x", "a/z", "a/b/z", "a/b/c/z", "b/a/z", "all/f"],
    *[
        "all/g/h",
        "#hash",
        "!bang",
        "star*",
        "starx",
        "trailing ",
        "spaces",
        "a1",
        "d1",
        "a2",
        "d2",
        "d3",
        "e3",
    ],
    *["qq", "q/r", "mid/dle", "sub/mid/dle", "fooXbarYbaz", "foobar", "nested/inner.txt", "inner.txt"],
    *["nested/special.tmp", "nested/deep/special.tmp", "special.tmp", "nested/top", "nested/deep/top"],
    *["important/x.tmp", "sub/[a-c]1", "nested/inner.txt2", "build.txt", "-2", "foobarbaz"],
]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
def test_every_path_is_judged_as_git_judges_it(bench: Workbench) -> None:
    for path in PATHS:
        bench.write(path)
    bench.write(".gitignore", RULES)
    bench.write("nested/.gitignore", NESTED)
    subprocess.run(["git", "init", "-q", "."], cwd=bench.root, check=True, capture_output=True)
    verdict = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(PATHS).encode(),
        cwd=bench.root,
        capture_output=True,
        check=False,
    )
    by_git = {path for path in verdict.stdout.decode().split("\0") if path}
    ignored = Ignored(Sandbox(bench.root))
    assert {path for path in PATHS if ignored.hides(path, False)} == by_git
    assert len(by_git) > 25


def test_only_directories_match_a_rule_with_a_slash_at_its_end(bench: Workbench) -> None:
    bench.write(".gitignore", "build/\n")
    ignored = Ignored(Sandbox(bench.root))
    assert ignored.hides("build", True)
    assert ignored.hides("build/file", False)
    assert not ignored.hides("build", False)


def test_git_itself_is_always_hidden(bench: Workbench) -> None:
    ignored = Ignored(Sandbox(bench.root))
    assert ignored.hides(".git", True)
    assert ignored.hides("sub/.git/config", False)
    assert not ignored.hides(".gitignore", False)


def test_the_rules_of_the_repository_above_count_but_do_not_hide_the_working_directory(
    bench: Workbench,
) -> None:
    bench.write(".git/HEAD")
    bench.write(".gitignore", "/inner\n/inner/only-here\n*.log\n")
    (bench.root / "inner").mkdir()
    ignored = Ignored(Sandbox(bench.root / "inner"), top=bench.root.resolve())
    assert ignored.hides("x.log", False)
    assert ignored.hides("only-here", False)
    assert not ignored.hides("file", False)


def test_a_rule_with_many_stars_is_judged_at_once(bench: Workbench) -> None:
    bench.write(".gitignore", "*a" * 60 + "b\n" + "**/a/" * 60 + "b\n")
    ignored = Ignored(Sandbox(bench.root))
    assert not ignored.hides("a" * 200, False)
    assert not ignored.hides("/".join("a" * 200), False)


def test_a_gitignore_that_changes_is_read_again_by_the_next_call(bench: Workbench) -> None:
    rules = bench.write(".gitignore", "x\n")
    assert Ignored(Sandbox(bench.root)).hides("x", False)
    rules.write_text("y\n")
    assert not Ignored(Sandbox(bench.root)).hides("x", False)


def test_only_so_many_rules_count(bench: Workbench) -> None:
    """Each is a pattern to compile, and a stranger's file may have a million."""
    bench.write(".gitignore", "\n".join(f"name-{number}" for number in range(MAX_RULES + 1)))
    ignored = Ignored(Sandbox(bench.root))
    assert ignored.hides(f"name-{MAX_RULES - 1}", False)
    assert not ignored.hides(f"name-{MAX_RULES}", False)
