"""The `background_agents` toolset: tasks for other agents of the team that go on while this one does something else.

A task belongs to the conversation and not to the run that started it: it ends by itself, when it is stopped, or
with its session, and a later run finds it as it is then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from app.agent.tools.output_limit import MAX_BYTES, cut, readable
from app.agent.tools.parameters import parameters, text
from app.agent.tools.shell import duration
from app.agent.toolset import Delegation, Tool, ToolContext, ToolFailed, ToolResult, string
from app.conversation.background_task import MAX_RUNNING, BackgroundTask, TooManyTasks

_TASK: Final = parameters({"task_id": text("ID of the task")})


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


class BackgroundAgentsToolset:
    """`colleagues` are the agents that this one may give tasks to."""

    instructions = (
        "With run_background_agent another agent of the team does a task while you go on: start several at once when "
        "they don't depend on each other. That agent sees nothing of this conversation and can ask nobody, so the "
        "task must say everything. Look for results with view_background_agent; what you no longer need, stop."
    )

    def __init__(self, colleagues: Sequence[str], work: BackgroundWork) -> None:
        self._colleagues = colleagues
        self._work = work

    def tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name="run_background_agent",
                title="Run Background Agent",
                category="transfer",
                description="Starts another agent on a task in the background, and returns the task's ID at once.",
                parameters=parameters(
                    {
                        "agent": text("The name of the agent that shall do the task"),
                        "task": text("What it shall do, complete and clear"),
                        "expected_output": text("What its answer should look like"),
                    },
                    optional=["expected_output"],
                ),
                output_schema=None,
                handler=self._run,
            ),
            Tool(
                name="list_background_agents",
                title="List Background Agents",
                category="transfer",
                waits=True,
                description="Lists the background tasks of this conversation and how they are.",
                read_only=True,
                in_order=True,
                output_schema=None,
                handler=self._list,
            ),
            Tool(
                name="view_background_agent",
                title="View Background Agent",
                category="transfer",
                waits=True,
                description="Shows how a background task is: its result, or what its agent has said so far.",
                parameters=_TASK,
                read_only=True,
                in_order=True,
                output_schema=None,
                handler=self._view,
            ),
            Tool(
                name="stop_background_agent",
                title="Stop Background Agent",
                category="transfer",
                description="Stops a background task.",
                parameters=_TASK,
                output_schema=None,
                handler=self._stop,
            ),
        ]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        """Tasks outlive the run that started them."""

    def state(self) -> Any:
        return None

    def _run(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        agent, task = string(arguments, "agent"), string(arguments, "task")
        if not agent.strip():
            return ToolResult.error("agent name must not be empty")
        if not task.strip():
            return ToolResult.error("task must not be empty")
        if agent not in self._colleagues:
            names = ", ".join(self._colleagues)
            return ToolResult.error(f'agent "{agent}" is not in the sub-agents list. Available: {names}')
        try:
            begun = self._work.start(Delegation(agent, task, string(arguments, "expected_output")))
        except TooManyTasks:
            return ToolResult.error(
                f"maximum concurrent background agent tasks ({MAX_RUNNING}) reached; wait until one ends, or stop one"
            )
        return ToolResult(f"Background agent task started with ID: {begun.id}\nAgent: {agent}\nTask: {task}")

    def _list(self, _arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        blocks = [f"ID: {task.id}\n" + _described(task, indent="  ") + "\n" for task in self._work.tasks()]
        return ToolResult(
            "Background Agent Tasks:\n\n" + ("".join(blocks) or "No background agent tasks found.\n")
        )

    def _view(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        task = self._work.find(string(arguments, "task_id"))
        if task is None:
            return _unknown(arguments)
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

    def _stop(self, arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult:
        task = self._work.find(string(arguments, "task_id"))
        if task is None:
            return _unknown(arguments)
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


def _unknown(arguments: Mapping[str, Any]) -> ToolResult:
    return ToolResult.error(f"task not found: {string(arguments, 'task_id')}")
