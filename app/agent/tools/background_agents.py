"""The `background_agents` toolset: tasks for other agents of the team that go on while this one does something else.

A task belongs to the conversation and not to the run that started it: it ends by itself, when it is stopped, or
with its session, and a later run finds it as it is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from app.agent.tools.function_tool import FunctionToolset, tool
from app.agent.tools.output_limit import MAX_BYTES, cut, readable
from app.agent.tools.shell import duration
from app.agent.toolset import Delegation, Tool, ToolFailed, ToolResult
from app.conversation.background_task import MAX_RUNNING, BackgroundTask, TooManyTasks

TaskId = Annotated[str, "ID of the task"]


class BackgroundWork(Protocol):
    """The tasks of the conversation that a run works on. For the run's thread."""

    def start(self, task: Delegation) -> BackgroundTask:
        """TooManyTasks, or an error that says in words why it could not begin; nothing has begun then.
        OutcomeUnknown if the database did not say whether it has."""
        ...

    def tasks(self) -> Sequence[BackgroundTask]:
        """In the order in which they were begun."""
        ...

    def find(self, task_id: str) -> BackgroundTask | None: ...

    def said(self, task: BackgroundTask) -> Sequence[str]:
        """The text of its agent so far, turn by turn."""
        ...

    def stop(self, task: BackgroundTask) -> None:
        """Returns when it has ended, or after some seconds."""
        ...


class NoWork:
    """For agents whose tools are only listed."""

    def start(self, task: Delegation) -> BackgroundTask:
        raise ToolFailed(f"no task for {task.agent} can be started here")

    def tasks(self) -> Sequence[BackgroundTask]:
        return ()

    def find(self, task_id: str) -> BackgroundTask | None:  # noqa: ARG002 - the protocol's
        return None

    def said(self, task: BackgroundTask) -> Sequence[str]:  # noqa: ARG002 - the protocol's
        return ()

    def stop(self, task: BackgroundTask) -> None:
        pass


class BackgroundAgentsToolset(FunctionToolset):
    """`colleagues` are the agents that this one may give tasks to. Without `starts` there are only the tools for those
    that were started before."""

    category = "transfer"
    instructions = (
        "With run_background_agent another agent of the team does a task while you go on: start several at once when "
        "they don't depend on each other. That agent sees nothing of this conversation and can ask nobody, so the "
        "task must say everything. Look for results with view_background_agent; what you no longer need, stop."
    )

    def __init__(self, colleagues: Sequence[str], work: BackgroundWork, *, starts: bool = True) -> None:
        self._colleagues = colleagues
        self._work = work
        self._starts = starts

    def tools(self) -> Sequence[Tool]:
        return [one for one in super().tools() if self._starts or one.name != "run_background_agent"]

    @tool(output_schema=None)
    def run_background_agent(
        self,
        agent: Annotated[str, "The name of the agent that shall do the task"],
        task: Annotated[str, "What it shall do, complete and clear"],
        expected_output: Annotated[str, "What its answer should look like"] = "",
    ) -> ToolResult:
        """Starts another agent on a task in the background, and returns the task's ID at once."""
        if not agent.strip():
            return ToolResult.error("agent name must not be empty")
        if not task.strip():
            return ToolResult.error("task must not be empty")
        if agent not in self._colleagues:
            names = ", ".join(self._colleagues)
            return ToolResult.error(f'agent "{agent}" is not in the sub-agents list. Available: {names}')
        try:
            begun = self._work.start(Delegation(agent, task, expected_output))
        except TooManyTasks:
            return ToolResult.error(
                f"maximum concurrent background agent tasks ({MAX_RUNNING}) reached; wait until one ends, or stop one"
            )
        return ToolResult(f"Background agent task started with ID: {begun.id}\nAgent: {agent}\nTask: {task}")

    @tool(output_schema=None, read_only=True, in_order=True, waits=True)
    def list_background_agents(self) -> ToolResult:
        """Lists the background tasks of this conversation and how they are."""
        blocks = [f"ID: {task.id}\n" + _described(task, indent="  ") + "\n" for task in self._work.tasks()]
        return ToolResult(
            "Background Agent Tasks:\n\n" + ("".join(blocks) or "No background agent tasks found.\n")
        )

    @tool(output_schema=None, read_only=True, in_order=True, waits=True)
    def view_background_agent(self, task_id: TaskId) -> ToolResult:
        """Shows how a background task is: its result, or what its agent has said so far."""
        task = self._work.find(task_id)
        if task is None:
            return ToolResult.error(f"task not found: {task_id}")
        head = f"Task ID: {task.id}\n" + _described(task, indent="")
        return ToolResult(f"{head}\n--- Output ---\n{self._output(task)}")

    def _output(self, task: BackgroundTask) -> str:
        match task.status:
            case "running":
                said = _latest("\n\n".join(self._work.said(task)))
                return f"{said}\n\n[still running...]" if said else "<no output yet, still running>"
            case "failed":
                return f"<task failed>\nError: {task.problem}"
            case "stopped":
                return "<task was stopped>"
            case "completed":
                said = "".join(self._work.said(task)[-1:])
                return cut(said) or "<no output>"

    @tool(output_schema=None)
    def stop_background_agent(self, task_id: TaskId) -> ToolResult:
        """Stops a background task."""
        task = self._work.find(task_id)
        if task is None:
            return ToolResult.error(f"task not found: {task_id}")
        if task.status != "running":
            return ToolResult.error(f"task {task.id} is not running (status: {task.status})")
        self._work.stop(task)
        if (left := self._work.find(task.id)) is not None and left.status == "running":
            return ToolResult.error(
                f"Background agent task {task.id} was told to stop and has not ended yet."
            )
        return ToolResult(f"Background agent task {task.id} stopped.")


def _described(task: BackgroundTask, *, indent: str) -> str:
    lines = [f"Agent: {task.agent}", f"Status: {task.status}", f"Runtime: {duration(task.seconds)}"]
    return "".join(f"{indent}{line}\n" for line in lines)


def _latest(said: str) -> str:
    """A task is looked at for its news, so of much that was said the end is shown."""
    data = said.encode("utf-8", "replace")
    if len(data) <= MAX_BYTES:
        return said
    return f"[Output truncated: the last {MAX_BYTES} of {len(data)} bytes]\n{readable(data[-MAX_BYTES:])}"
