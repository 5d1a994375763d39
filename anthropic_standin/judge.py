"""Judges a request as the Messages API does: by every rule, with the API's status, type and words.

Pure. This is the only proof that Baton's transcripts are valid, so where the API is lenient today and was
strict yesterday, the judge is strict. The one leniency kept: neighbours of the same role are one turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anthropic_standin.models import Model, find_model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.grammar import COUNT_REQUEST, check_fields
from anthropic_standin.rules.images import check_documents, check_images
from anthropic_standin.rules.roles import blocks_of, check_end, check_roles
from anthropic_standin.rules.sampling import NEWEST_VERSION, check_sampling
from anthropic_standin.rules.sizes import check_marks, check_sizes, count_tokens
from anthropic_standin.rules.structured_output import check_output
from anthropic_standin.rules.thinking import check_thinking, check_thinking_blocks
from anthropic_standin.rules.tool_calls import check_calls, check_server_calls
from anthropic_standin.rules.tool_definitions import check_tools
from anthropic_standin.signature import Prefix

__all__ = ["Judgement", "Refusal", "judge", "judge_count"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A request that may be answered."""

    model: Model
    thinks: bool
    input_tokens: int
    prefix: Prefix  # what an answer stands behind: it signs the answer's thinking
    transformations: tuple[Json, ...]  # thinking blocks left out by `drop_block`


def judge(
    body: Any,
    betas: Collection[str] = (),
    *,
    windows: Mapping[str, int] | None = None,
    version: str = NEWEST_VERSION,
) -> Judgement:
    """Accept a parsed `POST /v1/messages` body, or raise the `Refusal` that the API would answer. `windows` are
    other context windows than the models really have, in tokens by model; `version` is the API's."""
    check_fields(body, betas)
    model = find_model(body["model"])
    check_sampling(body, model, version)
    if windows and model.id in windows:
        model = replace(model, window=windows[model.id])
    messages: list[Json] = body["messages"]
    check_tools(body, model)
    _check_system(body.get("system"))
    check_roles(messages, model)
    check_calls(messages)
    check_server_calls(messages)
    check_end(messages, model)
    check_thinking(body, model)
    prefix, dropped = check_thinking_blocks(body, model)
    check_images(messages, model)
    check_documents(messages)
    check_output(body)
    check_marks(body)
    tokens = check_sizes(body, model)
    return Judgement(model, model.thinks(body.get("thinking")), tokens, prefix, tuple(dropped))


def judge_count(body: Any, betas: Collection[str] = ()) -> int:
    """The tokens of a `count_tokens` body. Checks its fields only: it is no validator in the API either."""
    check_fields(body, betas, COUNT_REQUEST)
    check_sampling(body, find_model(body["model"]), NEWEST_VERSION)
    return count_tokens(body)


def _check_system(system: str | list[Json] | None) -> None:
    for block in blocks_of({"content": system or []}):
        if not block["text"].strip():
            raise Refusal("system: text content blocks must be non-empty")
