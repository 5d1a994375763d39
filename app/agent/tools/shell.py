"""The `shell` toolset: commands, and commands in the background.

A toolset lives for one run, so background jobs do too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.agent.tools.background_jobs import BackgroundJobs, Job, TooManyJobs
from app.agent.tools.cage import Cage, caged
from app.agent.tools.output_limit import MAX_BYTES, cut, readable
from app.agent.tools.parameters import number, parameters, text
from app.agent.tools.processes import NOT_STOPPED, Command, exit_words, left_words, run
from app.agent.toolset import (
    OutcomeUnknown,
    Tool,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolResult,
    integer,
    string,
)
from app.tool_environment import for_commands

DEFAULT_SECONDS: Final = 30
MAX_SECONDS: Final = 3_600

_KEEP: Final = "What has to go on running belongs in a background job: start it with run_background_job."
_CMD: Final = text("The command, as the shell takes it")
_CWD: Final = text("The directory to run it in, relative to the working directory, which is the default")
_JOB: Final = parameters({"job_id": text("The ID that run_background_job gave")})


class ShellToolset:
    """`environment` is the server's own, of which commands get little; `env` comes from the agent's definition and
    wins. Neither brings the server's secrets into a command."""

    instructions = (
        "Each shell command starts afresh in the working directory: no variable and no `cd` outlives it, and "
        "nothing that it leaves running does. There is no input to type. Commands are stopped after 30 "
        "seconds unless you give a timeout; what takes longer, or serves, belongs in a background job, which "
        "ends with your turn at the latest."
    )

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        cage: Cage | None = None,
    ) -> None:
        self._environment = for_commands(environment, env)
        self._cage = cage
        self._jobs = BackgroundJobs()

    def tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name="shell",
                title="Shell",
                category="shell",
                description="Runs a shell command and returns what it writes, errors included.",
                parameters=parameters(
                    {"cmd": _CMD, "cwd": _CWD, "timeout": number("Seconds before it is stopped (30)")},
                    optional=["cwd", "timeout"],
                ),
                takes_description=True,
                handler=self._run,
            ),
            Tool(
                name="run_background_job",
                title="Background Job",
                category="shell",
                description="Starts a command and lets it run in the background.",
                parameters=parameters({"cmd": _CMD, "cwd": _CWD}, optional=["cwd"]),
                takes_description=True,
                handler=self._start_job,
            ),
            Tool(
                name="list_background_jobs",
                title="List Background Jobs",
                category="shell",
                waits=True,
                description="Lists the background jobs and how they are.",
                read_only=True,
                takes_description=True,
                handler=self._list_jobs,
            ),
            Tool(
                name="view_background_job",
                title="View Background Job Output",
                category="shell",
                waits=True,
                description="Shows what a background job has written, and how it is.",
                parameters=_JOB,
                read_only=True,
                takes_description=True,
                handler=self._view_job,
            ),
            Tool(
                name="stop_background_job",
                title="Stop Background Job",
                category="shell",
                description="Stops a background job and everything that it started.",
                parameters=_JOB,
                takes_description=True,
                handler=self._stop_job,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._jobs.stop()

    def state(self) -> Any:
        return None

    def _run(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        cmd = string(arguments, "cmd")
        if not cmd.strip():
            return ToolResult.error("Error: empty command")
        asked = integer(arguments, "timeout")
        seconds = min(asked, MAX_SECONDS) if asked > 0 else DEFAULT_SECONDS
        try:
            ended = run(self._command(arguments, context), timeout=seconds, cancellation=context.cancellation)
        except (OSError, ValueError) as error:
            return ToolResult.error(f"Error starting command: {error}")
        output = cut(readable(ended.output).strip())
        if ended.cancelled:
            raise ToolCancelled(stopped_words(output))
        if ended.status is None:
            return ToolResult(f"Command timed out after {duration(seconds)}\nOutput: {output}")
        problem = exit_words(ended.status)
        left = f"\n\n[{left_words(ended.left)} {_KEEP}]" if ended.left else ""
        if problem:
            return ToolResult(f"Error executing command: {problem}\nOutput: {output}{left}")
        return ToolResult((output or "<no output>") + left)

    def _start_job(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        cmd, cwd = string(arguments, "cmd"), string(arguments, "cwd")
        if not cmd.strip():
            return ToolResult.error("Error: empty command")
        try:
            job = self._jobs.start(cmd, self._command(arguments, context))
        except (OSError, ValueError) as error:
            return ToolResult.error(f"Error starting command: {error}")
        except TooManyJobs:
            raise ToolFailed("too many background jobs are running; stop one first") from None
        return ToolResult(
            f"Background job started with ID: {job.id}\nCommand: {cmd}\nWorking directory: {cwd}"
        )

    def _list_jobs(self, _arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        jobs = [f"ID: {job.id}\n" + _described(job, indent="  ") + "\n" for job in self._jobs.all()]
        return ToolResult("Background Jobs:\n\n" + ("".join(jobs) or "No background jobs found.\n"))

    def _view_job(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        job = self._jobs.get(string(arguments, "job_id"))
        if job is None:
            return _unknown(arguments)
        head = f"Job ID: {job.id}\n" + _described(job, indent="")
        left = f"\n[{left_words(job.left)}]\n" if job.left else ""
        return ToolResult(f"{head}\n--- Output ---\n" + (_latest(job.output()) or "<no output>\n") + left)

    def _stop_job(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        job = self._jobs.get(string(arguments, "job_id"))
        if job is None:
            return _unknown(arguments)
        status = job.status
        if status != "running":
            return ToolResult.error(f"Job {job.id} is not running (current status: {status})")
        job.stop()
        if job.exit_code is None:
            raise OutcomeUnknown(NOT_STOPPED)
        return ToolResult(f"Job {job.id} stopped successfully")

    def _command(self, arguments: Mapping[str, Any], context: ToolContext) -> Command:
        shell = self._environment.get("SHELL") or "/bin/sh"
        folder = Path(context.working_dir, string(arguments, "cwd"))
        command = Command([shell, "-c", string(arguments, "cmd")], folder, self._environment)
        return caged(command, self._cage, context.working_dir)


def stopped_words(output: str) -> str:
    """For the model, of a command that was stopped by a cancel after it had begun."""
    words = "Command cancelled\nIt was stopped at work; what it had done by then stays."
    return f"{words}\nOutput: {output}" if output else words


def duration(seconds: float) -> str:
    """Whole seconds as the contract's clients write them: 30s, 1m30s, 1h0m0s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _described(job: Job, *, indent: str) -> str:
    lines = [f"Command: {job.command}", f"Status: {job.status}", f"Runtime: {duration(job.seconds)}"]
    if job.exit_code is not None:
        lines.append(f"Exit Code: {job.exit_code}")
    return "".join(f"{indent}{line}\n" for line in lines)


def _latest(output: bytes) -> str:
    """A job is looked at for its news, so a long output loses its beginning."""
    if len(output) <= MAX_BYTES:
        return readable(output)
    return f"[Output truncated: the last {MAX_BYTES} of {len(output)} bytes]\n{readable(output[-MAX_BYTES:])}"


def _unknown(arguments: Mapping[str, Any]) -> ToolResult:
    return ToolResult.error(f"Job not found: {string(arguments, 'job_id')}")
