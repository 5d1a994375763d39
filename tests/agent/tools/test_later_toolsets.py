"""The toolsets of later agent files: environment, file, plan, git, background jobs, earlier sessions, open_url."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.agent.tools.cage import Cage
from app.agent.tools.git import GitToolset
from app.agent.tools.registry import ToolsetUnavailable, build, key
from app.agent.tools.run_facts import RunFacts
from app.agent.tools.session_context import EarlierSession
from app.agent.toolset import Elicitation, ToolCancelled, ToolFailed, ToolResult, Toolset
from app.conversation.blocks import text_block, tool_result
from app.conversation.transcript import Message
from app.team.toolset_spec import ToolsetSpec
from tests.agent.tools.workbench import Workbench, find


def made(
    bench: Workbench, kind: str, state: Any = None, run: RunFacts | None = None, **fields: Any
) -> Toolset:
    spec = ToolsetSpec.model_validate({"type": kind, **fields})
    return build(spec, environment=bench.environment, state=state, run=run)


def names(toolset: Toolset) -> list[str]:
    return [tool.name for tool in toolset.tools()]


def test_the_environment_is_a_system_and_a_shell(bench: Workbench) -> None:
    toolset = made(bench, "environment")
    assert json.loads(bench.call(toolset, "get_environment_info").output).keys() == {"os", "shell"}
    assert find(toolset, "get_environment_info").read_only


def test_file_is_three_tools_of_filesystem(bench: Workbench) -> None:
    toolset = made(bench, "file", post_edit=[{"path": "*.txt", "cmd": "exit 7"}])
    assert sorted(names(toolset)) == ["edit_file", "read_file", "write_file"]
    assert bench.call(toolset, "write_file", path="a.txt", content="x").is_error, "the command ran"
    assert names(made(bench, "file", readonly=True)) == ["read_file"]
    assert names(made(bench, "file", tools=["write_file"])) == ["write_file"]


def test_a_plan_stays_with_its_session(bench: Workbench) -> None:
    toolset = made(bench, "plan")
    assert bench.call(toolset, "read_plan").output.startswith("no plan written yet for this session")
    assert bench.call(toolset, "exit_plan_mode").is_error
    assert toolset.state() is None
    assert bench.call(toolset, "write_plan", content=" ").is_error
    assert bench.call(toolset, "write_plan", content="# First") == ToolResult("Plan saved with the session")
    later = made(bench, "plan", state=toolset.state())
    assert bench.call(later, "read_plan").output == "# First"
    assert bench.call(later, "exit_plan_mode").output == "Plan ready for review."
    assert key(ToolsetSpec(type="plan"), 3, "one") == key(ToolsetSpec(type="plan"), 0, "other")


def git(bench: Workbench, *arguments: str) -> str:
    told = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": "/usr/bin:/bin"}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@x.test", "-c", "init.defaultBranch=main"]
    return subprocess.check_output(["git", *who, *arguments], cwd=bench.root, env=told, text=True)


@pytest.fixture
def repository(bench: Workbench) -> Workbench:
    git(bench, "init", "--quiet")
    bench.write("a.txt", "one\ntwo\n")
    git(bench, "add", ".")
    git(bench, "commit", "--quiet", "--message", "First\n\nWith a body.", "--date", "2026-03-04T05:06:07Z")
    return bench


def test_a_repository_is_looked_at(repository: Workbench) -> None:
    toolset = made(repository, "git")
    assert names(toolset) == ["git_status", "git_log", "git_branches", "git_show", "git_blame"]
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert repository.call(toolset, "git_status").output == "On branch main\nWorking tree clean."
    assert repository.call(toolset, "git_log").output == f"{commit[:8]}  2026-03-04  Ada  First\n"
    assert repository.call(toolset, "git_log", path="b.txt").output == "No commits found."
    assert repository.call(toolset, "git_branches").output == "* main\n"
    assert repository.call(toolset, "git_show").output == (
        f"commit {commit}\nAuthor: Ada <ada@x.test>\nDate:   2026-03-04 05:06:07 +0000\n\nFirst\n\nWith a body.\n"
        "\nChanged files:\n  a.txt (+2, -0)\n"
    )
    blamed = repository.call(toolset, "git_blame", path="a.txt").output
    assert blamed == "".join(
        f"{commit[:8]} {'Ada':<20} {n:4}| {word}\n" for n, word in ((1, "one"), (2, "two"))
    )
    repository.write("a.txt", "changed\n")
    repository.write("new ü.txt")
    status = repository.call(toolset, "git_status").output
    assert status.startswith("On branch main\n2 changed file(s) [")
    assert status.endswith(":\n   M a.txt\n  ?? new ü.txt")
    git(repository, "mv", "--force", "a.txt", "b.txt")
    assert "2 changed file(s)" in repository.call(toolset, "git_status").output


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("git_show", {"ref": "nowhere"}, 'resolving revision "nowhere": reference not found'),
        ("git_show", {"ref": "--output=x"}, 'resolving revision "--output=x": reference not found'),
        ("git_blame", {"path": "missing"}, "no such path"),
        ("git_blame", {"path": " "}, "path is required"),
    ],
)
def test_what_is_not_there_is_an_error(
    repository: Workbench, tool: str, arguments: dict[str, str], words: str
) -> None:
    result = repository.call(made(repository, "git"), tool, **arguments)
    assert result.is_error
    assert words in result.output
    assert not (repository.root / "x").exists()


def test_programs_that_a_repository_names_do_not_run(repository: Workbench) -> None:
    repository.write(".gitattributes", "*.txt filter=evil diff=evil\n")
    for name in ("filter.evil.clean", "filter.evil.process", "diff.evil.textconv", "diff.evil.command"):
        git(repository, "config", name, f"touch {repository.root}/ran; cat")
    git(repository, "config", "core.fsmonitor", f"touch {repository.root}/ran; false")
    repository.write("a.txt", "changed\n")
    toolset = made(repository, "git")
    for tool, arguments in (
        ("git_status", {}),
        ("git_log", {}),
        ("git_show", {}),
        ("git_blame", {"path": "a.txt"}),
    ):
        assert not repository.call(toolset, tool, **arguments).is_error
    assert not (repository.root / "ran").exists()


def test_git_asks_first_unless_it_is_in_a_cage(bench: Workbench) -> None:
    free = GitToolset(environment=bench.environment).tools()
    in_cage = GitToolset(environment=bench.environment, cage=Cage(program="bwrap")).tools()
    assert ({tool.read_only for tool in free}, {tool.read_only for tool in in_cage}) == ({False}, {True})


def test_a_directory_that_is_no_repository_says_so(bench: Workbench) -> None:
    (bench.root / "below").mkdir()
    result = bench.call(made(bench, "git"), "git_status")
    assert result.is_error
    assert "not a git repository" in result.output


def test_background_jobs_are_those_of_shell_and_can_be_waited_for(bench: Workbench) -> None:
    toolset = made(bench, "background_jobs", env={"WORD": "said"})
    assert names(toolset) == [
        "run_background_job",
        "list_background_jobs",
        "view_background_job",
        "stop_background_job",
        "wait_background_job",
    ]
    try:
        started = bench.call(toolset, "run_background_job", cmd="echo $WORD").output
        job = started.partition("ID: ")[2].partition("\n")[0]
        waited = bench.call(toolset, "wait_background_job", job_id=job).output
        assert waited.startswith(f"Job {job} completed.\n\nJob ID: {job}\n")
        assert waited.endswith("--- Output ---\nsaid\n")
        assert bench.call(toolset, "wait_background_job", job_id="x").output == "Job not found: x"
        started = bench.call(toolset, "run_background_job", cmd="sleep 1000").output
        job = started.partition("ID: ")[2].partition("\n")[0]
        waited = bench.call(toolset, "wait_background_job", job_id=job, timeout=1).output
        assert waited.startswith(f"Timed out after 1s waiting for job {job}; it is still running.")
        bench.cancellation.cancel()
        with pytest.raises(ToolCancelled):
            bench.call(toolset, "wait_background_job", job_id=job, timeout=1000)
    finally:
        toolset.stop()
    assert bench.processes() == []


class Earlier:
    """Two sessions."""

    def newest(self, limit: int) -> Sequence[EarlierSession]:
        return [EarlierSession("b", "Later", 86_400.0, 2, starred=True), EarlierSession("a", "", 0.0, 1)][
            :limit
        ]

    def read(self, session_id: str) -> tuple[EarlierSession, Sequence[Message]] | None:
        call = {"type": "tool_use", "id": "t", "name": "ls", "input": {"path": "ü"}}
        rows = [
            Message("user", (text_block("Hi"),)),
            Message("assistant", (text_block("Look"), call)),
            Message("tool", (tool_result("t", "files"),)),
        ]
        found = {one.id: one for one in self.newest(2)}.get(session_id)
        long = [Message("user", (text_block("x" * 20_000),))] * 3
        return (found, long if session_id == "a" else rows) if found else None


def test_earlier_sessions_are_listed_and_read(bench: Workbench) -> None:
    toolset = made(bench, "session_context", run=RunFacts(sessions=Earlier()))
    assert json.loads(bench.call(toolset, "list_sessions").output) == [
        {
            "id": "b",
            "title": "Later",
            "created_at": "1970-01-02T00:00:00Z",
            "num_messages": 2,
            "starred": True,
        },
        {"id": "a", "title": "", "created_at": "1970-01-01T00:00:00Z", "num_messages": 1},
    ]
    assert len(json.loads(bench.call(toolset, "list_sessions", limit=1).output)) == 1
    told = bench.call(toolset, "read_session", session_id="-1").output
    assert told == bench.call(toolset, "read_session", session_id="b").output
    assert told == (
        "# Session b — Later\nCreated: 1970-01-02T00:00:00Z\nMessages: 2\n"
        '\n## user\nHi\n\n## assistant\nLook\n→ called tool `ls` with {"path": "ü"}\n\n## tool result\nfiles\n'
    )
    cut = bench.call(toolset, "read_session", session_id="-2").output
    assert "(untitled)" in cut
    assert "[2 earlier messages are left out]" in cut
    assert len(cut) < 24_100
    for wrong in ("-3", "-0", "-1000", "nobody", " "):
        assert bench.call(toolset, "read_session", session_id=wrong).is_error


def test_the_user_is_asked_to_open_an_address(bench: Workbench) -> None:
    toolset = made(bench, "open_url", url="https://x.test/a", name="docs")
    asked = bench.ask(toolset, "docs")
    assert isinstance(asked, Elicitation)
    assert (asked.mode, asked.url) == ("url", "https://x.test/a")
    tool = find(toolset, "docs")
    assert tool.go_on(asked, "accept", None) == ToolResult("Opened https://x.test/a")
    declined = tool.go_on(asked, "decline", None)
    assert isinstance(declined, ToolResult)
    assert declined.is_error


@pytest.mark.parametrize("kind", ["scheduler", "mcp_catalog", "lsp", "a2a", "rag"])
def test_a_toolset_that_can_not_be_built_says_why(bench: Workbench, kind: str) -> None:
    needs: dict[str, Any] = {"lsp": {"command": "x"}, "a2a": {"url": "http://x"}}.get(kind, {})
    with pytest.raises(ToolsetUnavailable, match=rf"{kind} is not supported by this server: \w"):
        made(bench, kind, **needs)


def test_nothing_is_looked_at_above_the_root(bench: Workbench, tmp_path: Path) -> None:
    git(bench, "init", "--quiet")
    below = bench.root / "below"
    below.mkdir()
    inner = Workbench(below, bench.cancellation, bench.environment)
    assert "not a git repository" in inner.call(made(inner, "git"), "git_status").output


def nested(repository: Workbench) -> None:
    """A submodule whose own configuration names a program."""
    there = ("-C", "sub")
    git(repository, "init", "--quiet", "sub")
    repository.write("sub/s.txt", "x\n")
    repository.write("sub/.gitattributes", "*.txt filter=evil\n")
    git(repository, *there, "add", ".")
    git(repository, *there, "commit", "--quiet", "--message", "Sub")
    git(repository, "-c", "advice.addEmbeddedRepo=false", "add", "sub")
    git(repository, "commit", "--quiet", "--message", "Second")
    git(repository, *there, "config", "filter.evil.clean", f"touch {repository.root}/ran; cat")
    repository.write("sub/s.txt", "y\n")


def promised(repository: Workbench) -> None:
    """A file of the last commit is missing, and is said to be had from a program."""
    lost = git(repository, "rev-parse", "HEAD:a.txt").strip()
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c touch% {repository.root}/ran"),
        ("protocol.ext.allow", "always"),
    ):
        git(repository, "config", name, value)
    repository.write("a.txt", "other\n")
    (repository.root / ".git/objects" / lost[:2] / lost[2:]).unlink()


@pytest.mark.parametrize("prepare", [nested, promised])
def test_programs_of_submodules_and_of_remotes_do_not_run(repository: Workbench, prepare: Any) -> None:
    prepare(repository)
    toolset = made(repository, "git")
    repository.call(toolset, "git_status")
    repository.call(toolset, "git_show")
    repository.call(toolset, "git_blame", path="a.txt")
    assert not (repository.root / "ran").exists()


@pytest.mark.parametrize("way", ["gitdir", "worktree"])
def test_a_repository_elsewhere_is_not_read(repository: Workbench, tmp_path: Path, way: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if way == "gitdir":
        (repository.root / ".git").rename(elsewhere / ".git")
        repository.write(".git", f"gitdir: {elsewhere}/.git\n")
    else:
        git(repository, "config", "core.worktree", str(elsewhere))
    for tool in ("git_status", "git_log", "git_show"):
        result = repository.call(made(repository, "git"), tool)
        assert result.is_error
        assert "outside of what this session may read" in result.output


@pytest.mark.parametrize("key", ["blame.ignoreRevsFile", "core.attributesFile"])
def test_files_that_a_repository_names_are_not_shown(repository: Workbench, tmp_path: Path, key: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("*.txt s3cret,words\n")
    git(repository, "config", key, str(secret))
    repository.write("a.txt", "other\n")
    toolset = made(repository, "git")
    assert "s3cret" not in repository.call(toolset, "git_status").output
    assert "s3cret" not in repository.call(toolset, "git_blame", path="a.txt").output


def test_an_argument_that_no_program_takes_is_an_error(repository: Workbench) -> None:
    result = repository.call(made(repository, "git"), "git_show", ref="a\0b")
    assert result.is_error
    assert not result.is_unknown


def test_no_more_jobs_are_remembered_than_fit_into_the_memory(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.agent.tools.background_jobs.MAX_JOBS", 2)
    toolset = made(bench, "background_jobs")
    ids = []
    for number in range(5):
        begun = bench.call(toolset, "run_background_job", cmd=f"echo {number}").output
        ids.append(begun.partition("ID: ")[2].partition("\n")[0])
        bench.call(toolset, "wait_background_job", job_id=ids[-1])
    listed = bench.call(toolset, "list_background_jobs").output
    assert [job_id for job_id in ids if job_id in listed] == ids[2:]
    assert bench.call(toolset, "view_background_job", job_id=ids[0]).is_error
    toolset.stop()


@pytest.mark.parametrize("url", ["http://[::1", "https://x.test:99999/", "javascript:alert(1)", "http://"])
def test_what_is_no_address_is_not_offered_to_be_opened(bench: Workbench, url: str) -> None:
    with pytest.raises(ToolFailed, match="not an absolute http or https address"):
        made(bench, "open_url", url=url).tools()
