"""Work handed from one agent to another: `transfer_task` gives a task away and waits for its result,
`handoff` gives the conversation away."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from app.agent.messaging import SEND, messaging_tools
from app.agent.tools.function_tool import function_tool, tool
from app.agent.toolset import Delegation, Handoff, Tool, ToolResult
from app.conversation import background_task
from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.team.agent import Agent

GIVING: Final = frozenset({"transfer_task", SEND})
"""Tools whose calls wait for another agent."""

MAX_DEPTH: Final = 8
TITLE: Final = "Transferred task"
FAILED: Final = "Error calling tool: "
"""The words before the failure of a task, in the result that its giver reads."""

NO_TASKS: Final = "Giving tasks to other agents is switched off in this conversation; do this one yourself."

_CHILDREN: Final = uuid.UUID("6f0a3a2e-57c1-4c0e-9a5e-3f4c4f1d5a11")


def tools_for(agent: Agent) -> list[Tool]:
    """The tools that an agent with colleagues gets in addition to its toolsets."""
    colleagues, tools = Colleagues(agent), []
    if agent.sub_agents:
        tools.append(function_tool(colleagues.transfer_task, "transfer"))
    if agent.handoffs:
        tools.append(function_tool(colleagues.handoff, "handoff"))
    if agent.roster:
        tools += messaging_tools(agent.roster)
    return tools


def child_id(parent: str, call_id: str) -> str:
    """The session of a delegated task. It follows from the call, so a process that goes on with the run finds it."""
    return str(uuid.uuid5(_CHILDREN, f"{parent}/{call_id}"))


def child_session(parent: Session, place: Session, key: str, target: Agent, call_id: str) -> Session:
    """Works where its parent works (`place`) and may what its parent may at this moment, denials included; what the
    target's own permissions say, if it has some."""
    new_id, agent = child_id(parent.id, call_id), f"{key}/{target.name}"
    child = _below(parent, place, new_id=new_id, root=parent.id, title=TITLE, agent=agent)
    own = target.own_permissions
    permissions = child.permissions if own is None else own.model_dump(mode="json")
    return replace(child, max_iterations=target.max_iterations, permissions=permissions)


def background_session(parent: Session, place: Session, *, new_id: str, root: str, agent: str) -> Session:
    """The session of a task that is done beside the conversation `root`, with what its parent may at this moment."""
    return _below(parent, place, new_id=new_id, root=root, title=background_task.TITLE, agent=agent)


def _below(parent: Session, place: Session, *, new_id: str, root: str, title: str, agent: str) -> Session:
    return Session(
        id=new_id,
        title=title,
        owner=parent.owner,
        working_dir=place.working_dir,
        tools_approved=parent.tools_approved,
        thinking=parent.thinking,
        permissions=parent.permissions,
        chosen_policy=parent.chosen_policy,
        choices=replace(parent.choices, pause=False),
        parent_id=root,
        agent=agent,
    )


def first_message(task: Delegation) -> Message:
    text = f"<task>\n{task.task}\n</task>"
    if task.expected_output.strip():
        text += f"\n\n<expected_output>\n{task.expected_output}\n</expected_output>"
    words = text_block(f"{text}\n\nPlease proceed.")
    return Message("user", (words,), implicit=True, position=0)


@dataclass(frozen=True, slots=True)
class Colleagues:
    agent: Agent

    @tool(read_only=True, in_order=True, output_schema=None)
    def transfer_task(
        self,
        agent: Annotated[str, "The name of the agent that shall do the task."],
        task: Annotated[str, "What it shall do, complete and clear."],
        expected_output: Annotated[str, "What its answer should look like.", {"default": ""}] = "",
    ) -> ToolResult | Delegation:
        """Gives a task to another agent of the team and waits for its answer. The other agent sees nothing of this
        conversation, so the task must say everything that it has to know."""
        if agent not in self.agent.sub_agents:
            return ToolResult.error(
                f"Agent {self.agent.name} cannot transfer task to {agent}: target agent not in sub-agents list. "
                f"{_available(self.agent.sub_agents)}"
            )
        return Delegation(agent, task, expected_output)

    @tool(title="Handoff Conversation", read_only=True, in_order=True, output_schema=None)
    def handoff(
        self, agent: Annotated[str, "The name of the agent that shall go on."]
    ) -> ToolResult | Handoff:
        """Gives this conversation to another agent, which goes on with it in your place."""
        if agent not in self.agent.handoffs:
            return ToolResult.error(
                f"Agent {self.agent.name} cannot hand off to {agent}: target agent not in handoffs list. "
                f"{_available(self.agent.handoffs)}"
            )
        return Handoff(agent)


def handed_over(source: str, target: Agent) -> str:
    """The result of the hand-off, as the agent that takes over reads it."""
    words = (
        f"Agent {source} has handed this conversation over to you, {target.name}. Look at what was said so far and "
        "go on with the user's request. Use only the tools that you were given"
    )
    others = f", and hand off only to: {', '.join(target.handoffs)}" if target.handoffs else ""
    return f"{words}{others}."


def _available(names: Sequence[str]) -> str:
    if not names:
        return "No agents are configured in this list."
    return f"Available agent IDs are: {', '.join(names)}"
