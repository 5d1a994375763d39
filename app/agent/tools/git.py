"""The `git` toolset: looks at the repository that the session's directory lies in, and changes nothing.

Whoever can write the repository's configuration may find a way to run programs: see `git_command`. So the tools run
without a question only in a cage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from app.agent.tools.cage import Cage, caged
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.git_command import NO_SUBMODULES, RepositoryRefused, ask
from app.agent.tools.output_limit import readable
from app.agent.tools.processes import Command, run
from app.agent.toolset import CANCELLED, Tool, ToolCancelled, ToolContext, ToolFailed, ToolResult
from app.tool_environment import for_commands

SECONDS: Final = 60.0
COMMITS: Final = 20
MOST_COMMITS: Final = 1_000
BLAMED_LINES: Final = 400

_KEPT: Final = 2_000_000
_APART: Final = "\x1f"  # in place of NUL, which no result can hold


class GitToolset(FunctionToolset):
    category = "git"
    instructions = (
        "git_status, git_log, git_branches, git_show and git_blame look at the repository and change nothing. Use the "
        "shell for everything else."
    )

    def __init__(self, *, environment: Mapping[str, str], cage: Cage | None = None) -> None:
        self._environment = for_commands(environment)
        self._cage = cage

    def tools(self) -> Sequence[Tool]:
        return [replace(one, read_only=self._cage is not None, in_order=True) for one in super().tools()]

    @tool(title="Git Status", takes_description=True)
    def git_status(self, context: ToolContext) -> ToolResult:
        """Shows the current branch and the changed files: staged, not staged, untracked."""
        listed = [
            one
            for one in self._git(context, "status", "--porcelain=v1", "-z", NO_SUBMODULES).split(_APART)
            if one
        ]
        changed, is_source = [], False
        for entry in filter(None, listed):
            if not is_source:
                changed.append(entry)
            is_source = not is_source and not {"R", "C"}.isdisjoint(
                entry[:2]
            )  # the name that a renamed file had comes behind it
        head = f"On branch {self._branch(context) or '(detached HEAD)'}"
        if not changed:
            return ToolResult(f"{head}\nWorking tree clean.")
        lines = "".join(f"\n  {entry}" for entry in sorted(changed, key=lambda entry: entry[3:]))
        meaning = "XY = staged/worktree; M=modified A=added D=deleted R=renamed ?=untracked"
        return ToolResult(f"{head}\n{len(changed)} changed file(s) [{meaning}]:{lines}")

    @tool(title="Git Log", takes_description=True)
    def git_log(
        self,
        context: ToolContext,
        limit: Annotated[int, "How many commits at most (20)"] = 0,
        path: Annotated[str, "Only commits that touch this path"] = "",
    ) -> ToolResult:
        """Shows the newest commits: hash, date, author and subject."""
        many = min(limit, MOST_COMMITS) if limit > 0 else COMMITS
        form = "--pretty=tformat:%H%x00%as%x00%an%x00%s"
        listed = self._git(context, "log", f"--max-count={many}", form, *(["--", path] if path else []))
        commits = [line.split(_APART, 3) for line in listed.split("\n") if line.count(_APART) >= 3]
        lines = [f"{name[:8]}  {date}  {author}  {subject}\n" for name, date, author, subject in commits]
        return ToolResult("".join(lines) or "No commits found.")

    @tool(title="Git Branches", takes_description=True)
    def git_branches(self, context: ToolContext) -> ToolResult:
        """Lists the local branches; an asterisk marks the current one."""
        listed = self._git(context, "for-each-ref", "--format=%(HEAD) %(refname:short)", "refs/heads")
        return ToolResult(listed or "No branches.")

    @tool(title="Git Show", takes_description=True)
    def git_show(
        self, context: ToolContext, ref: Annotated[str, "The commit or revision; HEAD, unless given"] = ""
    ) -> ToolResult:
        """Shows a commit: author, date, message, and how many lines of which files it adds and deletes."""
        commit = self._commit(context, ref)
        form = "--pretty=format:commit %H%nAuthor: %an <%ae>%nDate:   %ad%n%n%B"
        words = self._git(
            context, "show", "-s", "--date=format:%Y-%m-%d %H:%M:%S %z", form, commit, "--"
        ).rstrip()
        options = ("--no-commit-id", "--numstat", "-r", "--root", "-m", "--first-parent", "--no-ext-diff")
        stats = self._git(context, "diff-tree", *options, "--no-textconv", commit).splitlines()
        counts = [line.split("\t", 2) for line in stats if line.count("\t") >= 2]
        files = "".join(f"\n  {name} (+{_number(added)}, -{_number(gone)})" for added, gone, name in counts)
        return ToolResult(f"{words}\n" + (f"\nChanged files:{files}\n" if files else ""))

    @tool(title="Git Blame", takes_description=True)
    def git_blame(
        self,
        context: ToolContext,
        path: Annotated[str, "The file, relative to the session's directory"],
        rev: Annotated[str, "The commit or revision; HEAD, unless given"] = "",
    ) -> ToolResult:
        """Shows for each line of a file which commit and which author it comes from."""
        if not path.strip():
            raise ToolFailed("path is required")
        commit = self._commit(context, rev)
        try:
            told = self._git(context, "blame", "--line-porcelain", "--no-textconv", commit, "--", path)
        except ToolFailed as problem:
            if "invalid object name" in str(problem):  # git quotes the file, which may lie anywhere
                raise ToolFailed("the file that blame.ignoreRevsFile names lists no commits") from None
            raise
        lines: list[str] = []
        name = author = ""
        for line in told.splitlines():
            if line.startswith("\t"):
                lines.append(f"{name[:8]} {author:<20} {len(lines) + 1:4}| {line[1:]}\n")
            elif line.startswith("author "):
                author = line.removeprefix("author ")
            elif len(word := line.partition(" ")[0]) >= 40 and set(word) <= set("0123456789abcdef"):
                name = word
        left = len(lines) - BLAMED_LINES
        more = f"... ({left} more lines truncated)\n" if left > 0 else ""
        return ToolResult("".join(lines[:BLAMED_LINES]) + more)

    def _branch(self, context: ToolContext) -> str:
        return self._git(context, "symbolic-ref", "--short", "--quiet", "HEAD", may_fail=True).strip()

    def _commit(self, context: ToolContext, revision: str) -> str:
        """The hash; nothing that begins with a dash reaches a command as an option of it."""
        wanted = revision.strip() or "HEAD"
        options = ("--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
        found = self._git(context, "rev-parse", *options, may_fail=True).split()
        if not found:
            raise ToolFailed(f'resolving revision "{wanted}": reference not found')
        return found[-1]

    def _git(self, context: ToolContext, *arguments: str, may_fail: bool = False) -> str:
        """The output of a command. ToolFailed, unless it may fail; its output is empty then."""
        try:
            run_it = partial(self._run, context)
            status, printed = ask(run_it, Path(context.working_dir), context.ground, arguments)
        except RepositoryRefused as refused:
            raise ToolFailed(str(refused)) from None
        output = readable(printed.replace(b"\0", _APART.encode()))
        if status == 0:
            return output
        if may_fail:
            return ""
        raise ToolFailed(output.strip().removeprefix("fatal: ") or f"git ended with status {status}")

    def _run(
        self, context: ToolContext, arguments: Sequence[str], more: Mapping[str, str]
    ) -> tuple[int, bytes]:
        command = Command(arguments, Path(context.working_dir), {**self._environment, **more})
        try:
            ended = run(
                caged(command, self._cage, context.working_dir),
                timeout=SECONDS,
                cancellation=context.cancellation,
                kept=_KEPT,
            )
        except (OSError, ValueError) as error:
            raise ToolFailed(f"git can't be started: {error}") from error
        if ended.cancelled:
            raise ToolCancelled(CANCELLED)
        if ended.status is None:
            raise ToolFailed(f"git did not end within {SECONDS:.0f} seconds")
        return ended.status, ended.output


def _number(count: str) -> str:
    """Binary files have none."""
    return count if count.isdigit() else "0"
