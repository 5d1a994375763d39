"""Builds what a session's requests begin with: system and tools. Built once, then frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.agent.redaction import redacted
from app.agent.toolset import Tool
from app.conversation.frozen_prompt import FrozenPrompt, Surroundings
from app.team.agent import Agent
from app.team.team import Team

_CACHE: Final = {"type": "ephemeral"}

NO_TOOL: Final = {
    "name": "no_tool",
    "description": "Stands for the tools of another agent; it can't be called.",
    "input_schema": {"type": "object", "properties": {}},
}
"""The API wants tools to be defined where a conversation holds tool calls, even for an agent that has none."""


def definition_digest(team: Team, agent: Agent, model: str, tools: Sequence[Tool], renewal: str = "") -> str:
    """A digest of everything on which a frozen prompt depends. Not the texts of this program: a better build of it
    must not change sessions that are under way. `renewal` tells prompts apart that were made anew for another
    reason."""
    parts = [team.digest, agent.name, model, renewal, *(tool.name + tool.revision for tool in tools)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def freeze(
    agent: Agent,
    team: Team,
    *,
    model: str,
    tools: Sequence[Tool],
    toolset_instructions: Sequence[str],
    surroundings: Surroundings,
    definition: str,
    calls_of_others: bool = False,
) -> FrozenPrompt:
    """`calls_of_others`: the agent has no tools, but the conversation holds calls of one that had."""
    stable = [*_colleagues(team, agent), agent.instruction, *toolset_instructions]
    parts = [stable, _context(agent, surroundings)]
    if agent.redacts_prompts:
        parts = [[redacted(text) for text in texts] for texts in parts]
    blocks = [block for texts in parts for block in _marked(texts)]
    system = orjson.dumps(blocks).decode() if blocks else ""
    described = [tool.for_model() for tool in tools] or ([NO_TOOL] if calls_of_others else [])
    offered = orjson.dumps(described).decode() if described else ""
    digest = hashlib.sha256("\0".join([definition, model, system, offered]).encode()).hexdigest()
    return FrozenPrompt(
        digest=digest,
        agent=agent.name,
        definition=definition,
        model=model,
        system=system,
        tools=offered,
        definitions=[tool.definition() for tool in tools],
    )


def _marked(texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """One text block each; the prompt cache gets its mark on the last."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text.strip()} for text in texts if text.strip()]
    if blocks:
        blocks[-1]["cache_control"] = _CACHE
    return list(blocks)


def _colleagues(team: Team, agent: Agent) -> list[str]:
    texts = []
    if agent.sub_agents:
        texts.append(
            "You lead a team of agents. Hand a task to one of them with the transfer_task tool when it is "
            "better placed than you to do it; do the rest yourself. These and no others exist; use their "
            f"names exactly as written:\n{_listed(team, agent.sub_agents)}"
        )
    if agent.handoffs:
        texts.append(
            "You are one of several agents that share this conversation. When another of them should go "
            "on with it, call the handoff tool with its name, exactly as written:\n"
            f"{_listed(team, agent.handoffs)}"
        )
    return texts


def _listed(team: Team, names: Sequence[str]) -> str:
    return "\n".join(f"Name: {name} | Description: {team.agent(name).description}" for name in names)


def _context(agent: Agent, surroundings: Surroundings) -> list[str]:
    texts = []
    if agent.add_date:
        texts.append(date_words(surroundings))
    if agent.add_environment_info:
        texts.append(environment_words(surroundings))
    return [*texts, *surroundings.prompt_files]


def date_words(surroundings: Surroundings) -> str:
    return f"Today's date: {surroundings.date}"


def environment_words(surroundings: Surroundings) -> str:
    return (
        "You work here:\n<env>\n"
        f"Working directory: {surroundings.working_dir}\n"
        f"Is directory a git repo: {'Yes' if surroundings.is_git_repository else 'No'}\n"
        f"Operating system: {surroundings.platform}\n"
        f"CPU architecture: {surroundings.architecture}\n</env>"
    )
