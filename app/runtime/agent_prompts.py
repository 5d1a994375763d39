"""The prompts that the tool servers of an agent offer to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.prompts import Prompt
from app.agent.tools.registry import ToolsetUnavailable
from app.agent.tools.toolset_bases import innermost
from app.agent.toolset import QuestionFirst, ToolsetFailed
from app.errors import InvalidRequest, PartNotFound, ToolServerFailed
from app.roots import Roots
from app.runtime.session_agents import SessionAgent
from app.runtime.toolboxes import Toolboxes, patient

Answer = TypeVar("Answer")


class AgentPrompts:
    """Any thread may call it. Its methods start the agent's tool servers, and wait for them within a bound. They raise
    ToolServerFailed if one of the servers can't be asked."""

    def __init__(self, toolboxes: Toolboxes, roots: Roots) -> None:
        self._toolboxes = toolboxes
        self._roots = roots

    def all(self, of: SessionAgent, headers: Mapping[str, str]) -> dict[str, Prompt]:
        """By name. Of several with one name, those after the first have the number of their toolset before it."""
        with self._started(of, headers) as servers:
            return {key: prompt for key, (prompt, _) in _offered(servers).items()}

    def expand(
        self, of: SessionAgent, key: str, arguments: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """The text of a prompt. PartNotFound; InvalidRequest for arguments that it does not take, or without one that
        it needs."""
        with self._started(of, headers) as servers:
            offered = _offered(servers)
            if key not in offered:
                raise PartNotFound(f"agent {of.own.name} has no such prompt: {key:.200}")
            prompt, server = offered[key]
            _check(prompt, arguments)
            return _asked(server, lambda: server.expand(prompt.name, arguments))

    @contextmanager
    def _started(
        self, of: SessionAgent, headers: Mapping[str, str]
    ) -> Iterator[Sequence[tuple[int, McpToolset]]]:
        """The toolsets with servers, and their places among all."""
        built: list[tuple[int, McpToolset]] = []
        with patient() as cancellation:
            facts = of.facts(self._roots, headers, cancellation)
            try:
                for index, spec in enumerate(of.own.toolsets):
                    if spec.type != "mcp":
                        continue
                    try:
                        toolset = innermost(self._toolboxes.build(spec, None, facts))
                    except ToolsetUnavailable as problem:
                        raise ToolServerFailed(f"toolset {spec.name or spec.type}: {problem}") from problem
                    if isinstance(toolset, McpToolset):
                        built.append((index, toolset))
                        _asked(toolset, toolset.prepare)
                for _, toolset in built:
                    try:
                        _asked(toolset, toolset.start)
                    except ToolServerFailed as failure:
                        if cancellation.is_set():
                            raise ToolServerFailed(f"{toolset.label} does not answer") from failure
                        raise
                yield built
            finally:
                for _, toolset in built:
                    toolset.stop()


def _offered(servers: Sequence[tuple[int, McpToolset]]) -> dict[str, tuple[Prompt, McpToolset]]:
    offered: dict[str, tuple[Prompt, McpToolset]] = {}
    for index, server in servers:
        for prompt in _asked(server, server.prompts):
            key = prompt.name if prompt.name not in offered else f"{index}/{prompt.name}"
            offered[key] = (prompt, server)
    return offered


def _check(prompt: Prompt, arguments: Mapping[str, str]) -> None:
    known = {argument.name for argument in prompt.arguments}
    for name in arguments:
        if name not in known:
            raise InvalidRequest(f"the prompt {prompt.name:.200} takes no argument {name:.200}", status=422)
    for argument in prompt.arguments:
        if argument.required and argument.name not in arguments:
            raise InvalidRequest(
                f"the prompt {prompt.name:.200} needs the argument {argument.name:.200}", status=422
            )


def _asked(server: McpToolset, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except QuestionFirst as question:
        raise ToolServerFailed(f"{server.label}: {question}; a run asks for it") from question
    except TimeoutError as error:
        raise ToolServerFailed(f"{server.label} does not answer") from error
    except (ToolsetFailed, RuntimeError) as failure:  # RuntimeError: this process is ending
        raise ToolServerFailed(f"{server.label}: {failure}") from failure
