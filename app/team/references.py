"""References inside an agent file: every name that it uses is there, and stands for something."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from app.team.agent import AgentDefinition
from app.team.config import TeamFile
from app.team.elsewhere import check_elsewhere
from app.team.model_definition import AUTO, DEFAULT_MODEL, ModelDefinition, ModelSpec, inline, split_reference
from app.team.permissions import Permissions, is_pattern
from app.team.problems import FieldFinding, Path
from app.team.skill_definitions import InlineSkill
from app.team.toolset_spec import ToolsetSpec

SERVED = "anthropic"
_DOCKER = "docker:"


def check(file: TeamFile) -> Iterator[FieldFinding]:
    """Everything that is wrong although every field by itself is right."""
    for name in file.providers:
        if not name.strip() or name.strip() != name or "/" in name:
            yield FieldFinding(("providers", name), "a provider's name has no slash and no space around it")
    for name, definition in file.mcps.items():
        if definition.ref and not definition.ref.startswith(_DOCKER):
            yield FieldFinding(
                ("mcps", name, "ref"), "only docker refs are supported (e.g., 'docker:context7')"
            )
    for name, model in file.models.items():
        yield from _check_helpers(file, model, ("models", name), f"model '{name}'")
    yield from _check_permissions(file.permissions or Permissions())
    for name, agent in file.agents.items():
        yield from _check_agent(file, name, agent)
        yield from check_elsewhere(file.agents, file.toolsets, name, agent)


def resolve(file: TeamFile) -> TeamFile:
    """The file with alloys spelled out, `mcps` filled in, and every inline model listed under `models`."""
    models = {
        name: model.with_(parallel_tool_calls=True) if model.parallel_tool_calls is None else model
        for name, model in file.models.items()
    }
    agents = {name: _resolve_agent(file, agent) for name, agent in file.agents.items()}
    for reference in _listed_references(file, agents):
        if reference not in models and (model := inline(reference)):
            models[reference] = model
    return file.with_(agents=agents, models=models)


def members(file: TeamFile, reference: str, above: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The models that a reference stands for, alloys taken apart; an alloy inside itself adds nothing."""
    found: list[str] = []
    for part in split_reference(reference):
        alloy = file.models[part].alloy if part in file.models else ()
        if alloy and part not in above:
            found += members(file, ",".join(alloy), (*above, part))
        elif not alloy:
            found.append(part)
    return tuple(found)


def find_model(file: TeamFile, reference: str, above: tuple[str, ...] = ()) -> ModelSpec | None:
    """One model by its key, as `provider/model` or as `auto`; with what its provider's definition adds. One with
    `first_available` is the first of these that this server can ask, or itself if there is none."""
    definition = file.models.get(reference) or inline(DEFAULT_MODEL if reference == AUTO else reference)
    if definition is None:
        return None
    for candidate in definition.first_available if reference not in above else ():
        found = find_model(file, candidate, (*above, reference))
        if found is not None and found.provider == SERVED and found.model:
            return found.with_(name=reference)
    return ModelSpec.named(reference, _of_its_provider(file, definition))


_SHARED = (
    "temperature",
    "max_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "base_url",
    "token_key",
    "parallel_tool_calls",
    "provider_opts",
    "track_usage",
    "thinking_budget",
    "task_budget",
    "compaction_model",
)
"""The fields that a model takes over from its provider."""


def _of_its_provider(file: TeamFile, model: ModelDefinition) -> ModelDefinition:
    provider = file.providers.get(model.provider)
    if provider is None or provider.provider != SERVED:
        return model
    missing = [name for name in _SHARED if getattr(model, name) in (None, "", {}, 0)]
    taken = {name: getattr(provider, name) for name in missing if getattr(provider, name) not in (None, "")}
    return model.with_(provider=SERVED, **taken)


def check_model(file: TeamFile, reference: str, path: Path, who: str) -> Iterator[FieldFinding]:
    """Whether everything that the reference leads to can be served; routing rules included."""
    pending, seen = [(reference, path, who)], set()
    while pending:
        reference, path, who = pending.pop()
        for member in members(file, reference):
            if (member, path) in seen:
                continue
            seen.add((member, path))
            model = find_model(file, member)
            if model is None:
                yield FieldFinding(path, f"{who} references non-existent model '{member}'")
            elif model.provider != SERVED:
                yield _not_served(file, member, model, path)
            elif not model.model:
                yield FieldFinding(("models", member, "model"), "is required")
            for index, rule in enumerate(model.routing if model else ()):
                place = ("models", member, "routing", index, "model")
                pending.append((rule.model, place, f"routing rule {index} in model '{member}'"))
        if not members(file, reference):
            yield FieldFinding(path, f"{who} references no model")


def _not_served(file: TeamFile, name: str, model: ModelDefinition, path: Path) -> FieldFinding:
    if name in file.models:
        path = ("models", name, "provider") if model.provider else ("models", name)
    if model.first_available:
        return FieldFinding(
            ("models", name, "first_available"),
            f"none of these is a model of '{SERVED}', which this server serves",
        )
    if not model.provider:
        return FieldFinding(path, f"provider is required; this server serves '{SERVED}'")
    text = (
        f"model '{model.model}' is of provider '{model.provider}'; this server serves only Anthropic's models"
    )
    return FieldFinding(path, text)


def _check_agent(file: TeamFile, name: str, agent: AgentDefinition) -> Iterator[FieldFinding]:
    path, who = ("agents", name), f"agent '{name}'"
    if not name.strip():
        yield FieldFinding(path, "an agent needs a name")
    if agent.code_mode_tools:
        yield FieldFinding(
            (*path, "code_mode_tools"), "is not supported: this server has no JavaScript engine"
        )
    yield from _check_agent_models(file, agent, path, who)
    yield from _check_agent_names(file, agent, path, who)
    for index, toolset in enumerate(agent.toolsets):
        yield from _check_toolset(file, toolset, (*path, "toolsets", index), who)


def _check_agent_models(
    file: TeamFile, agent: AgentDefinition, path: Path, who: str
) -> Iterator[FieldFinding]:
    if agent.model:
        yield from check_model(file, agent.model, (*path, "model"), who)
    yield from _check_helpers(file, agent, path, who)
    for index, reference in enumerate(agent.fallback.models if agent.fallback else ()):
        yield from check_model(file, reference, (*path, "fallback", "models", index), who)


def _check_agent_names(
    file: TeamFile, agent: AgentDefinition, path: Path, who: str
) -> Iterator[FieldFinding]:
    for index, other in enumerate(agent.sub_agents):
        if other not in file.agents:
            yield FieldFinding((*path, "sub_agents", index), _stranger(who, "sub-agent", other))
    for index, other in enumerate(agent.handoffs):
        if other not in file.agents:
            yield FieldFinding((*path, "handoffs", index), _stranger(who, "handoff agent", other))
    for index, source in enumerate(agent.rag):
        if source not in file.rag:
            yield FieldFinding((*path, "rag", index), f"{who} references non-existent RAG source '{source}'")
    for name, command in agent.commands.items():
        if command.agent and command.agent not in file.agents:
            yield FieldFinding(
                (*path, "commands", name, "agent"), _stranger(f"command '{name}'", "agent", command.agent)
            )
    groups: tuple[tuple[str, Sequence[str], Collection[str], str], ...] = (
        ("budgets", agent.budgets, file.budgets, "budget"),
        ("use_commands", agent.use_commands, file.commands, "group of commands"),
        ("use_skills", agent.use_skills, file.skills, "group of skills"),
        ("use_toolsets", agent.use_toolsets, file.toolsets, "toolset"),
    )
    for key, names, known, kind in groups:
        for index, one in enumerate(names):
            if one not in known:
                yield FieldFinding((*path, key, index), f"{who} references non-existent {kind} '{one}'")


def _check_helpers(
    file: TeamFile, user: AgentDefinition | ModelDefinition, path: Path, who: str
) -> Iterator[FieldFinding]:
    """The models that write summaries and titles."""
    for key in ("compaction_model", "title_model"):
        if reference := getattr(user, key, ""):
            yield from check_model(file, reference, (*path, key), who)


def _check_permissions(permissions: Permissions) -> Iterator[FieldFinding]:
    for kind in ("allow", "ask", "deny"):
        for index, pattern in enumerate(getattr(permissions, kind)):
            if not is_pattern(pattern):
                text = "is not a valid pattern: a bracket is open or empty, or a backslash comes last"
                yield FieldFinding(("permissions", kind, index), text)


def _stranger(who: str, kind: str, name: str) -> str:
    if "/" in name:
        return f"{who} references '{name}'; this server loads no agents from registries or URLs"
    return f"{who} references non-existent {kind} '{name}'"


def _check_toolset(file: TeamFile, toolset: ToolsetSpec, path: Path, who: str) -> Iterator[FieldFinding]:
    if toolset.model:
        yield from check_model(file, toolset.model, (*path, "model"), who)
    for index, reference in enumerate(toolset.models):
        yield from check_model(file, reference, (*path, "models", index), who)
    if _names_definition(toolset) and toolset.ref not in file.mcps:
        yield FieldFinding((*path, "ref"), f"{who} references non-existent MCP definition '{toolset.ref}'")


def _names_definition(toolset: ToolsetSpec) -> bool:
    return toolset.type == "mcp" and bool(toolset.ref) and not toolset.ref.startswith(_DOCKER)


def _resolve_agent(file: TeamFile, agent: AgentDefinition) -> AgentDefinition:
    named = [file.toolsets[name] for name in agent.use_toolsets]
    toolsets = tuple(
        toolset.over(file.mcps[toolset.ref]) if _names_definition(toolset) else toolset
        for toolset in (*agent.toolsets, *named)
    )
    groups = {name: command for group in agent.use_commands for name, command in file.commands[group].items()}
    shared = [skill for group in agent.use_skills for skill in file.skills[group]]
    own = {skill.name for skill in agent.skills if isinstance(skill, InlineSkill)}
    skills = [skill for skill in shared if not (isinstance(skill, InlineSkill) and skill.name in own)]
    return agent.with_(
        model=",".join(members(file, agent.model)),
        toolsets=toolsets,
        commands={**groups, **agent.commands},
        skills=tuple(dict.fromkeys((*agent.skills, *skills))),
        use_commands=(),
        use_skills=(),
        use_toolsets=(),
    )


def _listed_references(file: TeamFile, agents: dict[str, AgentDefinition]) -> Iterator[str]:
    """The references that clients see among the models: those of agents, routing rules and retrieval strategies."""
    for agent in agents.values():
        yield from split_reference(agent.model)
    for model in file.models.values():
        yield from (rule.model for rule in model.routing)
    for source in file.rag.values():
        for strategy in source.strategies:
            model_name = (strategy.model_extra or {}).get("model")
            if isinstance(model_name, str):
                yield model_name
