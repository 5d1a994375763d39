"""The `background_jobs` toolset: the background jobs of `shell`, without its other commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from app.agent.tools.function_tool import function_tool, tool
from app.agent.tools.shell import MAX_SECONDS, JobId, ShellToolset, duration
from app.agent.toolset import CANCELLED, Tool, ToolCancelled, ToolContext, ToolResult

WAIT_SECONDS: Final = 60
_JOB_TOOLS: Final = (
    "run_background_job",
    "list_background_jobs",
    "view_background_job",
    "stop_background_job",
)


class BackgroundJobsToolset(ShellToolset):
    """A job belongs to the run that started it, and ends with that run at the latest."""

    category = "background_jobs"
    instructions = (
        "Start what takes long, or serves, with run_background_job, and wait for its end with wait_background_job. A "
        "background job ends with your turn at the latest."
    )

    def tools(self) -> Sequence[Tool]:
        named = (*_JOB_TOOLS, "wait_background_job")
        return [function_tool(getattr(self, name), self.category) for name in named]

    @tool(title="Wait for Background Job", waits=True, read_only=True, takes_description=True)
    def wait_background_job(
        self,
        context: ToolContext,
        job_id: JobId,
        timeout: Annotated[int, "Seconds to wait at most (60); the job goes on when they are over"] = 0,
    ) -> ToolResult:
        """Waits until a background job has ended, and shows how it is and what it has written."""
        job = self._jobs.get(job_id)
        if job is None:
            return ToolResult.error(f"Job not found: {job_id}")
        seconds = min(timeout, MAX_SECONDS) if timeout > 0 else WAIT_SECONDS
        job.wait(seconds, context.cancellation)
        if context.cancellation.is_set():
            raise ToolCancelled(CANCELLED)
        head = f"Job {job.id} {job.status}."
        if job.status == "running":
            head = f"Timed out after {duration(seconds)} waiting for job {job.id}; it is still running."
        return ToolResult(f"{head}\n\n{self.view_background_job(job_id).output}")
