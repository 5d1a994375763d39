"""Parts of an agent file that can be read, and will hardly do here what its author means: names that nothing has,
and toolsets that can't be built on this machine."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Final

from app.agent.delegation import Colleagues
from app.agent.tools.deferred import DeferredToolset
from app.agent.tools.function_tool import arguments_of
from app.agent.tools.registry import ToolsetUnavailable, build
from app.agent.tools.skills import SkillsToolset
from app.distribution import install_command
from app.errors import MissingEnvironment
from app.team.agent import AgentDefinition
from app.team.config import TeamFile
from app.team.hook_definitions import HookMatcher
from app.team.hook_points import POINTS
from app.team.permissions import names_tool, parse_pattern
from app.team.problems import FieldFinding, Path
from app.team.references import resolve
from app.team.toolset_spec import TYPES, ToolsetSpec

_ANY: Final = {"description"}  # the argument that every described call may have
_WORD: Final = re.compile(r"[A-Za-z0-9][\w.+-]*")
_OF_THE_SHELL: Final = re.compile(
    r"case|cd|command|eval|exec|exit|export|false|for|if|read|return|set|shift|source|test|trap|true|type|ulimit|umask"
    r"|unset|until|wait|while"
)


@dataclass(slots=True)
class _Known:
    """Tools by name, each with its arguments. They are `all` unless some are named by a server."""

    tools: dict[str, set[str]] = field(default_factory=dict)
    all: bool = True

    def add(self, other: _Known) -> None:
        self.tools |= other.tools
        self.all = self.all and other.all


def lint(file: TeamFile, environment: Mapping[str, str]) -> Iterator[FieldFinding]:
    """In no order. Nothing is started and nothing is asked over a network."""
    whole = _Known()
    for name, agent in resolve(file).agents.items():
        place: Path = ("agents", name)
        known = _Known(_own_tools(agent))
        for index, spec in enumerate(agent.toolsets):
            here = (*place, "toolsets", index)
            of_toolset = yield from _of_toolset(spec, here, environment)
            yield from _of_names(spec, here, of_toolset)
            known.add(of_toolset)
        yield from _of_hooks(agent, place, known, environment)
        whole.add(known)
    if file.permissions is not None:
        for kind in ("allow", "ask", "deny"):
            for index, pattern in enumerate(getattr(file.permissions, kind)):
                yield from _of_pattern(pattern, ("permissions", kind, index), whole)


def _own_tools(agent: AgentDefinition) -> dict[str, set[str]]:
    kinds: list[type] = [Colleagues] if agent.sub_agents or agent.handoffs else []
    kinds += [SkillsToolset] if agent.skills else []
    kinds += [DeferredToolset] if any(spec.defer for spec in agent.toolsets) else []
    return {name: arguments for kind in kinds for name, arguments in arguments_of(kind).items()}


def _of_toolset(
    spec: ToolsetSpec, place: Path, environment: Mapping[str, str]
) -> Generator[FieldFinding, None, _Known]:
    """Also returns its tools; those of a toolset in doubt are not known."""
    unknown = _Known(all=False)
    if not spec.is_known:
        yield FieldFinding(
            (*place, "type"), f"unknown toolset type '{spec.type}'{_nearest(spec.type, TYPES)}"
        )
        return unknown
    if problem := _missing(spec, environment):
        yield FieldFinding(place, problem)
    if spec.type == "api":
        return _Known({spec.api_config.name: set(spec.api_config.args)})
    if spec.type in ("mcp", "openapi"):
        return unknown
    try:
        tools = build(spec.with_(tools=(), model=""), environment=environment).tools()
    except ToolsetUnavailable as problem:
        if not isinstance(problem.__cause__, MissingEnvironment):  # the server may have what is missing here
            yield FieldFinding(place, str(problem))
        return unknown
    return _Known({tool.name: set((tool.parameters or {}).get("properties", {})) for tool in tools})


def _missing(spec: ToolsetSpec, environment: Mapping[str, str]) -> str:
    """The things that this machine lacks for it, in words."""
    if spec.type != "mcp":
        return ""
    if spec.ref:
        return f"servers of a catalogue ({spec.ref}) are not supported by this server"
    if find_spec("mcp") is None:
        return f"tool servers need the package mcp: {install_command('mcp')}"
    if _WORD.fullmatch(spec.command) and shutil.which(spec.command, path=environment.get("PATH")) is None:
        return f"there is no command '{spec.command}' here"
    return ""


def _of_names(spec: ToolsetSpec, place: Path, known: _Known) -> Iterator[FieldFinding]:
    """The tools that it keeps, and those that it defers."""
    if not known.all:
        return
    for key, names in (("tools", spec.tools), ("defer", spec.defer if isinstance(spec.defer, tuple) else ())):
        for index, name in enumerate(names):
            if name not in known.tools:
                words = f"toolset {spec.type} has no tool '{name}'{_nearest(name, known.tools)}"
                yield FieldFinding((*place, key, index), words)


def _of_hooks(
    agent: AgentDefinition, place: Path, known: _Known, environment: Mapping[str, str]
) -> Iterator[FieldFinding]:
    if agent.hooks is None:
        return
    for point in [name for name, rules in POINTS.items() if rules.by_tool]:
        matchers: Sequence[HookMatcher] = getattr(agent.hooks, point)
        for index, one in enumerate(matchers):
            if not _fits_some(partial(_hook_matches, one.matcher), one.matcher, known):
                words = f"no tool of this agent is called '{one.matcher}'{_nearest(one.matcher, known.tools)}"
                yield FieldFinding((*place, "hooks", point, index, "matcher"), words)
    for _, within, hook in agent.hooks.entries():
        if hook.type == "command":
            yield from _of_command(hook.command, (*place, "hooks", *within, "command"), environment)


def _of_command(command: str, place: Path, environment: Mapping[str, str]) -> Iterator[FieldFinding]:
    """A program is looked for by its bare name; a path may be that of a session's directory."""
    word, *_ = command.split(maxsplit=1) or [""]
    if not _WORD.fullmatch(word) or _OF_THE_SHELL.fullmatch(word):
        return
    if shutil.which(word, path=environment.get("PATH")) is None:
        yield FieldFinding(place, f"there is no command '{word}' here")


def _of_pattern(pattern: str, place: Path, known: _Known) -> Iterator[FieldFinding]:
    glob, conditions = parse_pattern(pattern)
    if not _fits_some(lambda name: names_tool(glob, name), glob, known):
        yield FieldFinding(place, f"no tool is called '{glob}'{_nearest(glob, known.tools)}")
        return
    meant = [arguments for name, arguments in known.tools.items() if names_tool(glob, name)]
    arguments = set().union(*meant)
    for name, _ in conditions:
        if (
            known.all
            and arguments
            and name not in arguments | _ANY | ({"path"} if "paths" in arguments else set())
        ):
            yield FieldFinding(place, f"{glob} has no argument '{name}'{_nearest(name, arguments)}")


def _fits_some(fits: Callable[[str], bool], written: str, known: _Known) -> bool:
    """Whether some tool is meant. Where a server names tools it may be one of those, unless what is written looks like
    a known name that is misspelt."""
    if any(fits(name) for name in known.tools):
        return True
    return not known.all and not difflib.get_close_matches(written.lower(), known.tools, n=1, cutoff=0.8)


def _hook_matches(matcher: str, tool: str) -> bool:
    return matcher in ("", "*") or re.fullmatch(matcher, tool) is not None


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
