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
from app.team.toolset_spec import ApiToolSpec, PostEditSpec, RemoteSpec, ScriptToolSpec, ToolsetSpec
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
        **_given(permissions=file.permissions and _plain(file.permissions)),
    }


def _agent(name: str, agent: AgentDefinition) -> Payload:
    return {
        "Name": name,
        **_filled(
            **_fields(agent, "model"),
            fallback=agent.fallback and _fallback(agent.fallback),
            **_fields(agent, "description welcome_message"),
            toolsets=[_toolset(toolset) for toolset in agent.toolsets],
            **_fields(
                agent, "instruction sub_agents handoffs rag add_date add_environment_info code_mode_tools"
            ),
            **_fields(
                agent, "add_description_parameter readonly safety redact_secrets max_iterations budgets"
            ),
            **_fields(agent, "max_consecutive_tool_calls max_old_tool_call_tokens max_tool_result_tokens"),
            **_fields(
                agent, "compaction_threshold compaction_model num_history_items add_prompt_files commands"
            ),
            structured_output=agent.structured_output and _output(agent.structured_output),
            skills=_skills(agent.skills),
            **_fields(agent, "cache"),
        ),
        **({"session_compaction": False} if agent.session_compaction is False else {}),
        **_given(hooks=agent.hooks and _hooks(agent.hooks)),
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
        **_filled(**_fields(toolset, "type tools instruction readonly toon model")),
        "defer": {},
        **_filled(command=toolset.command, args=masked_arguments(toolset.args), ref=toolset.ref),
        "remote": _remote(toolset.remote),
        **_given(config=toolset.config),
        **_filled(
            **_fields(toolset, "version name url"),
            headers=masked(toolset.headers),
            env=masked(toolset.env),
            **_fields(toolset, "shared path"),
            shell={name: _script(tool) for name, tool in toolset.shell.items()},
            post_edit=[_post_edit(edit) for edit in toolset.post_edit],
        ),
        "api_config": _api(toolset.api_config),
        **_given(ignore_vcs=toolset.ignore_vcs),
        **_filled(
            **_fields(toolset, "file_types timeout models"),
            webhook_config=toolset.webhook_config and _webhook(toolset.webhook_config),
            **_fields(toolset, "rag_config allowed_domains blocked_domains allowed_servers blocked_servers"),
            working_dir=toolset.working_dir,
            lifecycle=toolset.lifecycle and _lifecycle(toolset.lifecycle),
        ),
        **_given(allow_private_ips=toolset.allow_private_ips),
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
    return {
        **_filled(**_fields(model, "provider model description")),
        **_given(**_fields(model, "temperature max_tokens top_p frequency_penalty presence_penalty")),
        **_given(**_fields(model, "parallel_tool_calls track_usage thinking_budget")),
        **_filled(**_fields(model, "base_url token_key provider_opts task_budget bypass_models_gateway")),
        **_filled(**_fields(model, "first_available title_model compaction_model compaction_threshold")),
        **_given(**_fields(model, "cost")),
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
        **_given(respect_vcs=source.respect_vcs),
        **_filled(strategies=[_strategy(strategy) for strategy in source.strategies]),
        "results": _plain(source.results),
    }


def _strategy(strategy: RagStrategy) -> Payload:
    return {**_plain(strategy), **(strategy.model_extra or {})}


def _plain(definition: AgentFilePart) -> Payload:
    """A definition whose every field travels under its own name and is left out when it is empty."""
    return _filled(**_fields(definition, " ".join(type(definition).model_fields)))


def _fields(definition: AgentFilePart, names: str) -> Payload:
    return {name: _value(getattr(definition, name)) for name in names.split()}


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


def _given(**values: Any) -> Payload:
    """Those that a file may set to nothing, which is said, too."""
    return {key: value for key, value in values.items() if value is not None}


_EMPTY: Iterable[Any] = (None, False, 0, "", [], {})
