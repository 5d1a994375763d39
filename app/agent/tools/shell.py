"""The `shell` toolset: commands, and commands in the background.

A toolset lives for one run, so background jobs do too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from app.agent.tools.background_jobs import BackgroundJobs, Job, TooManyJobs
from app.agent.tools.cage import Cage, caged
from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.output_limit import MAX_BYTES, cut, readable
from app.agent.tools.processes import NOT_STOPPED, Command, exit_words, left_words, run
from app.agent.toolset import OutcomeUnknown, ToolCancelled, ToolContext, ToolFailed, ToolResult
from app.tool_environment import for_commands

DEFAULT_SECONDS: Final = 30
MAX_SECONDS: Final = 3_600

_KEEP: Final = "What has to go on running belongs in a background job: start it with run_background_job."

Cmd = Annotated[str, "The command, as the shell takes it"]
Cwd = Annotated[str, "The directory to run it in, relative to the working directory, which is the default"]
JobId = Annotated[str, "The ID that run_background_job gave"]


class ShellToolset(FunctionToolset):
    """`environment` is the server's own, of which commands get little; `env` comes from the agent's definition and
    wins. Neither brings the server's secrets into a command."""

    category = "shell"
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

    def stop(self) -> None:
        self._jobs.stop()

    @tool(takes_description=True)
    def shell(
        self,
        context: ToolContext,
        cmd: Cmd,
        cwd: Cwd = "",
        timeout: Annotated[int, "Seconds before it is stopped (30)"] = 0,
    ) -> ToolResult:
        """Runs a shell command and returns what it writes, errors included."""
        if not cmd.strip():
            return ToolResult.error("Error: empty command")
        seconds = min(timeout, MAX_SECONDS) if timeout > 0 else DEFAULT_SECONDS
        try:
            ended = run(
                self._command(cmd, cwd, context),
                timeout=seconds,
                cancellation=context.cancellation,
                live=context.output,
            )
        except (OSError, ValueError) as error:
            return ToolResult.error(f"Error starting command: {error}")
        output = readable(ended.output)
        if ended.cancelled:
            raise ToolCancelled(stopped_words(cut(output.strip())))
        problem = ""
        if ended.status is None:
            problem = f"Command timed out after {duration(seconds)}"
        elif words := exit_words(ended.status):
            problem = f"Error executing command: {words}"
        text = f"{problem}\nOutput: {output}" if problem else output
        left = f"\n\n[{left_words(ended.left)} {_KEEP}]" if ended.left else ""
        return ToolResult((cut(text.strip()) or "<no output>") + left)

    @tool(title="Background Job", takes_description=True)
    def run_background_job(self, context: ToolContext, cmd: Cmd, cwd: Cwd = "") -> ToolResult:
        """Starts a command and lets it run in the background."""
        if not cmd.strip():
            return ToolResult.error("Error: empty command")
        try:
            job = self._jobs.start(cmd, self._command(cmd, cwd, context))
        except (OSError, ValueError) as error:
            return ToolResult.error(f"Error starting command: {error}")
        except TooManyJobs:
            raise ToolFailed("too many background jobs are running; stop one first") from None
        return ToolResult(
            f"Background job started with ID: {job.id}\nCommand: {cmd}\nWorking directory: {cwd}"
        )

    @tool(waits=True, read_only=True, takes_description=True)
    def list_background_jobs(self) -> ToolResult:
        """Lists the background jobs and how they are."""
        jobs = [f"ID: {job.id}\n" + _described(job, indent="  ") + "\n" for job in self._jobs.all()]
        return ToolResult("Background Jobs:\n\n" + ("".join(jobs) or "No background jobs found.\n"))

    @tool(title="View Background Job Output", waits=True, read_only=True, takes_description=True)
    def view_background_job(self, job_id: JobId) -> ToolResult:
        """Shows what a background job has written, and how it is."""
        job = self._jobs.get(job_id)
        if job is None:
            return ToolResult.error(f"Job not found: {job_id}")
        head = f"Job ID: {job.id}\n" + _described(job, indent="")
        left = f"\n[{left_words(job.left)}]\n" if job.left else ""
        return ToolResult(f"{head}\n--- Output ---\n" + (_latest(job.output()) or "<no output>\n") + left)

    @tool(takes_description=True)
    def stop_background_job(self, job_id: JobId) -> ToolResult:
        """Stops a background job and everything that it started."""
        job = self._jobs.get(job_id)
        if job is None:
            return ToolResult.error(f"Job not found: {job_id}")
        status = job.status
        if status != "running":
            return ToolResult.error(f"Job {job.id} is not running (current status: {status})")
        job.stop()
        if job.exit_code is None:
            raise OutcomeUnknown(NOT_STOPPED)
        return ToolResult(f"Job {job.id} stopped successfully")

    def _command(self, cmd: str, cwd: str, context: ToolContext) -> Command:
        shell = self._environment.get("SHELL") or "/bin/sh"
        folder = Path(context.working_dir, cwd)
        command = Command([shell, "-c", cmd], folder, self._environment)
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
