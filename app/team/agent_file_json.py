"""An agent file as clients see it, key for key as the contract has it; literal secrets are masked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.team.agent import LOCAL_SKILLS, AgentDefinition, Fallback, Skills, StructuredOutput
from app.team.config import Provider, RagSource, RagStrategy, RunBudget, TeamFile
from app.team.durations import render_duration
from app.team.fields import AgentFilePart
from app.team.hook_definitions import Hook, Hooks
from app.team.hook_points import POINTS
from app.team.lifecycle import Lifecycle
from app.team.masking import masked, masked_arguments, scrubbed
from app.team.model_definition import ModelDefinition
from app.team.toolset_spec import (
    ApiToolSpec,
    PostEditSpec,
    RemoteSpec,
    ScriptToolSpec,
    ToolsetSpec,
)
from app.team.webhook_spec import WebhookSpec

Payload = dict[str, Any]


def team_payload(file: TeamFile) -> Payload:
    payload: Payload = scrubbed(_whole(file))
    return payload


def _whole(file: TeamFile) -> Payload:
    return {
        "version": file.version,
        "agents": [_agent(name, agent) for name, agent in file.agents.items()],
        **_filled(
            providers={name: _provider(provider) for name, provider in file.providers.items()},
            models={name: _model(model) for name, model in sorted(file.models.items())},
            mcps={name: _toolset(toolset) for name, toolset in file.mcps.items()},
            toolsets={name: _toolset(toolset) for name, toolset in file.toolsets.items()},
            commands={name: _value(group) for name, group in file.commands.items()},
            skills={name: _skills(group) for name, group in file.skills.items()},
            runtime=_plain(file.runtime),
            budget=_budget(file.budget) if file.budget else None,
            budgets={name: _budget(budget) for name, budget in file.budgets.items()},
            rag={name: _rag(source) for name, source in file.rag.items()},
        ),
        "metadata": _plain(file.metadata),
        **({"permissions": _plain(file.permissions)} if file.permissions is not None else {}),
    }


def _agent(name: str, agent: AgentDefinition) -> Payload:
    return {
        "Name": name,
        **_filled(
            model=agent.model,
            fallback=_fallback(agent.fallback) if agent.fallback else None,
            description=agent.description,
            welcome_message=agent.welcome_message,
            toolsets=[_toolset(toolset) for toolset in agent.toolsets],
            instruction=agent.instruction,
            sub_agents=list(agent.sub_agents),
            handoffs=list(agent.handoffs),
            rag=list(agent.rag),
            add_date=agent.add_date,
            add_environment_info=agent.add_environment_info,
            code_mode_tools=agent.code_mode_tools,
            add_description_parameter=agent.add_description_parameter,
            readonly=agent.readonly,
            safety=agent.safety,
            redact_secrets=agent.redact_secrets,
            max_iterations=agent.max_iterations,
            budgets=list(agent.budgets),
            max_consecutive_tool_calls=agent.max_consecutive_tool_calls,
            max_old_tool_call_tokens=agent.max_old_tool_call_tokens,
            max_tool_result_tokens=agent.max_tool_result_tokens,
            compaction_threshold=agent.compaction_threshold,
            compaction_model=agent.compaction_model,
            num_history_items=agent.num_history_items,
            add_prompt_files=list(agent.add_prompt_files),
            commands={name: _plain(command) for name, command in agent.commands.items()},
            structured_output=_output(agent.structured_output) if agent.structured_output else None,
            skills=_skills(agent.skills),
            cache=_plain(agent.cache) if agent.cache else None,
        ),
        **({"session_compaction": False} if agent.session_compaction is False else {}),
        **({"hooks": _hooks(agent.hooks)} if agent.hooks is not None else {}),
    }


def _skills(skills: Skills) -> Any:
    return True if skills == (LOCAL_SKILLS,) else _value(skills)


def _budget(budget: RunBudget) -> Payload:
    return _plain(budget.with_(max_time=render_duration(budget.max_time)))


def _fallback(fallback: Fallback) -> Payload:
    return {
        **_filled(models=list(fallback.models), retries=fallback.retries),
        "cooldown": render_duration(fallback.cooldown),
    }


def _output(output: StructuredOutput) -> Payload:
    return {
        "name": output.name,
        **_filled(description=output.description),
        "schema": output.json_schema,
        **_filled(strict=output.strict),
    }


def _hooks(hooks: Hooks) -> Payload:
    def matchers(kind: str) -> list[Payload]:
        return [
            {**_filled(matcher=one.matcher), "hooks": [_hook(hook) for hook in one.hooks]}
            for one in getattr(hooks, kind)
        ]

    return _filled(
        **{
            point: matchers(point) if rules.by_tool else [_hook(hook) for hook in getattr(hooks, point)]
            for point, rules in POINTS.items()
        }
    )


def _hook(hook: Hook) -> Payload:
    return {
        "type": hook.type,
        **_filled(
            command=hook.command,
            timeout=hook.timeout,
            name=hook.name,
            args=masked_arguments(hook.args),
            env=masked(hook.env),
            working_dir=hook.working_dir,
            on_error=hook.on_error,
        ),
    }


def _toolset(toolset: ToolsetSpec) -> Payload:
    """`defer` has to be an object for the contract's client; what was configured does not travel."""
    return {
        **_filled(
            type=toolset.type,
            tools=list(toolset.tools),
            instruction=toolset.instruction,
            readonly=toolset.readonly,
            toon=toolset.toon,
            model=toolset.model,
        ),
        "defer": {},
        **_filled(command=toolset.command, args=masked_arguments(toolset.args), ref=toolset.ref),
        "remote": _remote(toolset.remote),
        **({"config": toolset.config} if toolset.config is not None else {}),
        **_filled(
            version=toolset.version,
            name=toolset.name,
            url=toolset.url,
            headers=masked(toolset.headers),
            env=masked(toolset.env),
            shared=toolset.shared,
            path=toolset.path,
            shell={name: _script(tool) for name, tool in toolset.shell.items()},
            post_edit=[_post_edit(edit) for edit in toolset.post_edit],
        ),
        "api_config": _api(toolset.api_config),
        **({"ignore_vcs": toolset.ignore_vcs} if toolset.ignore_vcs is not None else {}),
        **_filled(file_types=list(toolset.file_types), timeout=toolset.timeout, models=list(toolset.models)),
        **_filled(
            webhook_config=_webhook(toolset.webhook_config) if toolset.webhook_config else None,
            rag_config=toolset.rag_config,
            allowed_domains=list(toolset.allowed_domains),
            blocked_domains=list(toolset.blocked_domains),
            allowed_servers=list(toolset.allowed_servers),
            blocked_servers=list(toolset.blocked_servers),
            working_dir=toolset.working_dir,
            lifecycle=_lifecycle(toolset.lifecycle) if toolset.lifecycle else None,
        ),
        **({"allow_private_ips": toolset.allow_private_ips} if toolset.allow_private_ips is not None else {}),
    }


def _webhook(webhook: WebhookSpec) -> Payload:
    """Its address is a secret by itself, unless it is only named."""
    address = masked({"url": webhook.url})["url"] if webhook.url else ""
    return _filled(
        provider=webhook.provider, url=address, headers=masked(webhook.headers), chat_id=webhook.chat_id
    )


def _lifecycle(lifecycle: Lifecycle) -> Payload:
    backoff = lifecycle.backoff
    return _plain(
        lifecycle.with_(
            startup_timeout=render_duration(lifecycle.startup_timeout),
            call_timeout=render_duration(lifecycle.call_timeout),
            backoff=backoff.with_(initial=render_duration(backoff.initial), max=render_duration(backoff.max)),
        )
    )


def _remote(remote: RemoteSpec) -> Payload:
    return {
        "url": remote.url,
        **_filled(transport_type=remote.transport_type, headers=masked(remote.headers)),
    }


def _script(tool: ScriptToolSpec) -> Payload:
    return {
        "cmd": tool.cmd,
        "description": tool.description,
        **_filled(args=tool.args),
        "required": None if tool.required is None else list(tool.required),
        **_filled(env=masked(tool.env), working_dir=tool.working_dir),
    }


def _post_edit(edit: PostEditSpec) -> Payload:
    return {"path": edit.path, "cmd": edit.cmd}


def _api(api: ApiToolSpec) -> Payload:
    return _filled(
        instruction=api.instruction,
        name=api.name,
        required=list(api.required),
        args=api.args,
        endpoint=api.endpoint,
        method=api.method,
        headers=masked(api.headers),
        output_schema=api.output_schema,
    )


def _provider(provider: Provider) -> Payload:
    return {**_plain(provider), "base_url": provider.base_url}


def _model(model: ModelDefinition) -> Payload:
    set_or_absent = (
        "temperature",
        "max_tokens",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "parallel_tool_calls",
        "track_usage",
        "thinking_budget",
    )
    return {
        **_filled(provider=model.provider, model=model.model, description=model.description),
        **{key: getattr(model, key) for key in set_or_absent if getattr(model, key) is not None},
        **_filled(base_url=model.base_url, token_key=model.token_key, provider_opts=model.provider_opts),
        **_filled(
            task_budget=model.task_budget,
            bypass_models_gateway=model.bypass_models_gateway,
            first_available=list(model.first_available),
            title_model=model.title_model,
            compaction_model=model.compaction_model,
            compaction_threshold=model.compaction_threshold,
        ),
        **({"cost": _plain(model.cost)} if model.cost is not None else {}),
        **_filled(
            routing=[
                {"model": rule.model, "examples": None if rule.examples is None else list(rule.examples)}
                for rule in model.routing
            ]
        ),
    }


def _rag(source: RagSource) -> Payload:
    return {
        "tool": _plain(source.tool),
        **_filled(docs=list(source.docs)),
        **({"respect_vcs": source.respect_vcs} if source.respect_vcs is not None else {}),
        **_filled(strategies=[_strategy(strategy) for strategy in source.strategies]),
        "results": _plain(source.results),
    }


def _strategy(strategy: RagStrategy) -> Payload:
    return {**_plain(strategy), **(strategy.model_extra or {})}


def _plain(definition: AgentFilePart) -> Payload:
    """A definition whose every field travels under its own name and is left out when it is empty."""
    return _filled(**{name: _value(getattr(definition, name)) for name in type(definition).model_fields})


def _value(value: Any) -> Any:
    match value:
        case AgentFilePart():
            return _plain(value)
        case dict():
            return {key: _value(item) for key, item in value.items()}
        case tuple():
            return [_value(item) for item in value]
        case _:
            return value


def _filled(**values: Any) -> Payload:
    return {key: value for key, value in values.items() if value not in _EMPTY}


_EMPTY: Iterable[Any] = (None, False, 0, "", [], {})
