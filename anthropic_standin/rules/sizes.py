"""How much: cache marks (P1, P3), tokens in and out (S1-S4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.roles import blocks_of
from anthropic_standin.rules.shape import wrong

MAX_MARKS = 4
_BYTES_PER_TOKEN = 4
_TOKENS_PER_ATTACHMENT = 1600


def check_marks(body: Json) -> None:
    """At most four cache marks, and those that live longer first."""
    marks = list(_marks(body))
    found = len(marks) + bool(body.get("cache_control"))
    if found > MAX_MARKS:
        raise Refusal(f"A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {found}.")
    short_lived = False
    for path, mark in marks:
        if mark.get("ttl") == "1h" and short_lived:
            raise wrong(
                f"{path}.cache_control.ttl",
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
                "Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
            )
        short_lived = short_lived or mark.get("ttl", "5m") == "5m"


def check_sizes(body: Json, model: Model) -> int:
    """Refuses what does not fit the model, and returns the number of tokens that go in."""
    wanted: int = body["max_tokens"]
    if wanted == 0:
        _check_warming(body, model)
    if wanted > model.max_output:
        raise Refusal(
            f"max_tokens: {wanted} > {model.max_output}, which is the maximum allowed number of output "
            f"tokens for {model.id}"
        )
    tokens = count_tokens(body)
    if tokens > model.window:
        raise Refusal(f"prompt is too long: {tokens} tokens > {model.window} maximum", blames_caller=False)
    # the newer models stop with `model_context_window_exceeded` instead
    if model.prefill and tokens + wanted > model.window:
        raise Refusal(
            f"input length and `max_tokens` exceed context limit: {tokens} + {wanted} > {model.window}, "
            "decrease input length or `max_tokens` and try again",
            blames_caller=False,
        )
    return tokens


def count_tokens(body: Json) -> int:
    """A plausible number: bytes by four, with a flat price for what is attached."""
    prompt = [body.get("tools"), body.get("system"), body["messages"]]
    attached = [len(block["source"]["data"]) for block in _attachments(body["messages"])]
    weight = max(0, len(orjson.dumps(prompt)) - sum(attached))
    return weight // _BYTES_PER_TOKEN + _TOKENS_PER_ATTACHMENT * len(attached)


def _check_warming(body: Json, model: Model) -> None:
    """`max_tokens: 0` only fills the cache; it goes with nothing that wants an answer."""
    conflicts = {
        "stream": bool(body.get("stream")),
        "thinking": model.manual(body.get("thinking")),
        "output_config.format": bool((body.get("output_config") or {}).get("format")),
        "tool_choice": (body.get("tool_choice") or {}).get("type") in ("any", "tool"),
    }
    for field, conflicting in conflicts.items():
        if conflicting:
            raise Refusal(f"max_tokens: 0 cannot be combined with `{field}`")


def _marks(body: Json) -> Iterator[tuple[str, Json]]:
    yield from _marked(body.get("tools") or [], "tools")
    yield from _marked(body.get("system") or [], "system")
    for index, message in enumerate(body["messages"]):
        for position, block in enumerate(blocks_of(message)):
            path = f"messages.{index}.content.{position}"
            yield from _marked(block.get("content"), f"{path}.{block['type']}.content")
            if mark := block.get("cache_control"):
                yield path, mark


def _marked(blocks: Any, path: str) -> Iterator[tuple[str, Json]]:
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        if isinstance(block, dict) and (mark := block.get("cache_control")):
            yield f"{path}.{index}", mark


def _attachments(messages: list[Json]) -> Iterator[Json]:
    for message in messages:
        for block in blocks_of(message):
            nested = block.get("content") if block["type"] == "tool_result" else None
            for part in (block, *(nested if isinstance(nested, list) else ())):
                if part["type"] in ("image", "document") and part["source"]["type"] == "base64":
                    yield part
