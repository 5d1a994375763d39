"""Work handed from one agent to another: `transfer_task` gives a task away and waits for its result,
`handoff` gives the conversation away."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.agent.tools.parameters import parameters, text
from app.agent.toolset import Delegation, Handoff, Tool, ToolContext, ToolResult, string
from app.conversation import background_task
from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.team.agent import Agent

MAX_DEPTH: Final = 8
TITLE: Final = "Transferred task"

_CHILDREN: Final = uuid.UUID("6f0a3a2e-57c1-4c0e-9a5e-3f4c4f1d5a11")


def tools_for(agent: Agent) -> list[Tool]:
    """The tools that an agent with colleagues gets in addition to its toolsets."""
    tools = []
    if agent.sub_agents:
        tools.append(_transfer_task(agent))
    if agent.handoffs:
        tools.append(_handoff(agent))
    return tools


def child_id(parent: str, call_id: str) -> str:
    """The session of a delegated task. It follows from the call, so a process that goes on with the run finds it."""
    return str(uuid.uuid5(_CHILDREN, f"{parent}/{call_id}"))


def child_session(parent: Session, place: Session, key: str, target: Agent, call_id: str) -> Session:
    """Works where its parent works (`place`) and may what its parent may at this moment, denials included."""
    new_id, agent = child_id(parent.id, call_id), f"{key}/{target.name}"
    child = _below(parent, place, new_id=new_id, root=parent.id, title=TITLE, agent=agent)
    return replace(child, max_iterations=target.max_iterations)


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
        parent_id=root,
        agent=agent,
    )


def first_message(task: Delegation) -> Message:
    text = f"<task>\n{task.task}\n</task>"
    if task.expected_output.strip():
        text += f"\n\n<expected_output>\n{task.expected_output}\n</expected_output>"
    words = text_block(f"{text}\n\nPlease proceed.")
    return Message("user", (words,), implicit=True, position=0)


def _transfer_task(agent: Agent) -> Tool:
    def handler(arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult | Delegation:
        target = string(arguments, "agent")
        if target not in agent.sub_agents:
            return ToolResult.error(
                f"Agent {agent.name} cannot transfer task to {target}: target agent not in sub-agents list. "
                f"{_available(agent.sub_agents)}"
            )
        return Delegation(target, string(arguments, "task"), string(arguments, "expected_output"))

    return Tool(
        name="transfer_task",
        category="transfer",
        title="Transfer Task",
        description=(
            "Gives a task to another agent of the team and waits for its answer. The other agent sees nothing "
            "of this conversation, so the task must say everything that it has to know."
        ),
        parameters=parameters(
            {
                "agent": text("The name of the agent that shall do the task."),
                "task": text("What it shall do, complete and clear."),
                "expected_output": text("What its answer should look like.", default=""),
            }
        ),
        handler=handler,
        read_only=True,
        in_order=True,
        output_schema=None,
    )


def _handoff(agent: Agent) -> Tool:
    def handler(arguments: Mapping[str, Any], _context: ToolContext) -> ToolResult | Handoff:
        target = string(arguments, "agent")
        if target not in agent.handoffs:
            return ToolResult.error(
                f"Agent {agent.name} cannot hand off to {target}: target agent not in handoffs list. "
                f"{_available(agent.handoffs)}"
            )
        return Handoff(target)

    return Tool(
        name="handoff",
        category="handoff",
        title="Handoff Conversation",
        description="Gives this conversation to another agent, which goes on with it in your place.",
        parameters=parameters({"agent": text("The name of the agent that shall go on.")}),
        handler=handler,
        read_only=True,
        in_order=True,
        output_schema=None,
    )


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
