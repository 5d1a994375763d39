"""The options of a request for an agent's next turn, as they follow from its file and its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from app.agent import model_catalogue
from app.agent.request_builder import begins_with_thinking
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.transcript import Message
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

SPARE_TOKENS: Final = 1_024  # of the window, for what an estimate is wrong by


def turn_options(
    agent: Agent,
    spec: ModelSpec,
    prompt: FrozenPrompt,
    rows: Sequence[Message],
    *,
    thinks: Callable[[], bool],
    has_tools: bool,
    max_tokens: int,
) -> dict[str, Any]:
    """Thinking, sampling, the form of the answer, the choice of tools. `has_tools`: there are some at this moment.
    `thinks` is asked only of a model that can."""
    options = thinking_options(spec, max_tokens, thinks)
    if options.get("thinking", {}).get("type") == "enabled" and not begins_with_thinking(rows, prompt):
        options = {}
    options |= sampling_options(spec, options)
    if agent.structured_output is not None:
        form = {"type": "json_schema", "schema": agent.structured_output.for_the_api()}
        options["output_config"] = {**options.get("output_config", {}), "format": form}
    if spec.task_budget:
        budget = {"type": "tokens", "total": spec.task_budget}
        options["output_config"] = {**options.get("output_config", {}), "task_budget": budget}
    if prompt.tools and not has_tools:
        options["tool_choice"] = {"type": "none"}
    return options


def thinking_options(spec: ModelSpec, max_tokens: int, thinks: Callable[[], bool]) -> dict[str, Any]:
    options = dict(model_catalogue.thinking_options(spec.model, spec.thinking_budget, max_tokens=max_tokens))
    return options if options and thinks() else {}


def sampling_options(spec: ModelSpec, options: Mapping[str, Any]) -> Mapping[str, float]:
    thinks = "thinking" in options
    return model_catalogue.sampling_options(spec.model, spec.temperature, spec.top_p, thinks=thinks)


def most_tokens(spec: ModelSpec, fill: int) -> int:
    """The most that the model may write, in a conversation of so many tokens. Older models refuse to begin when that
    might not fit into their window."""
    known = model_catalogue.facts(spec.model)
    wanted = spec.max_tokens or known.max_output or model_catalogue.DEFAULT_MAX_TOKENS
    if known.thinking != "budget" or not known.window:
        return wanted
    room = known.window - fill - fill // 20 - SPARE_TOKENS
    return min(wanted, max(room, SPARE_TOKENS))
