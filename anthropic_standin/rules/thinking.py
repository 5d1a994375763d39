"""Thinking: how it may be asked for (C1-C4), and what must come back untouched (K1-K6, the prefix check)."""

from __future__ import annotations

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.roles import blocks_of
from anthropic_standin.rules.shape import wrong
from anthropic_standin.signature import Prefix, SignatureFinding

THINKING = ("thinking", "redacted_thinking")
_DIFFERENCE = {
    SignatureFinding.SYSTEM: "The `system` prompt differs from the one this block was created with.",
    SignatureFinding.TOOLS: "The `tools` differ from those this block was created with.",
    SignatureFinding.THINKING: (
        "The `thinking` block that preceded this one when it was created is missing from this request."
    ),
    SignatureFinding.MESSAGES: "The messages before this block differ from those it was created with.",
}


def check_thinking(body: Json, model: Model) -> None:
    """The request's `thinking` field against the model and `max_tokens`."""
    thinking: Json | None = body.get("thinking")
    if thinking is None:
        return
    kind = thinking["type"]
    if kind not in model.thinking:
        raise Refusal(_unsupported(kind))
    if kind == "enabled" and thinking["budget_tokens"] >= body.get(
        "max_tokens", thinking["budget_tokens"] + 1
    ):
        raise Refusal("`max_tokens` must be greater than `thinking.budget_tokens`")


def check_thinking_blocks(body: Json, model: Model) -> tuple[Prefix, list[Json]]:
    """Walk the conversation and examine each signed block.

    Returns the prefix behind which the answer will stand, and the blocks left out on the caller's wish.
    """
    messages: list[Json] = body["messages"]
    _check_first_block(messages, model, body.get("thinking"))
    _check_final_message(messages, model, body.get("thinking"))
    binding = (body.get("thinking") or {}).get("block_binding", {})
    drops = binding.get("prefix_mismatch_behavior") == "drop_block"
    latest = max((n for n, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    prefix, dropped = Prefix(body), []
    for index, message in enumerate(messages):
        for position, block in enumerate(blocks_of(message)):
            path = f"messages.{index}.content.{position}"
            finding = _examine(prefix, block, path, is_latest=index == latest)
            if finding in _DIFFERENCE and not model.preserves:
                finding = SignatureFinding.VALID
            if finding in _DIFFERENCE and not drops:
                raise _mismatch(path, block, finding)
            if finding is SignatureFinding.VALID:
                prefix.add(message["role"], block)
            elif finding in _DIFFERENCE:
                dropped.append(
                    {"type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch"}
                )
    return prefix, dropped


def _examine(prefix: Prefix, block: Json, path: str, *, is_latest: bool) -> SignatureFinding:
    """The finding of the signature; refuses a block that nobody has signed like this. Other blocks are valid."""
    if block["type"] not in THINKING:
        return SignatureFinding.VALID
    field = _seal(block)
    text = block.get("thinking", "")
    if not text and not block[field]:
        raise wrong(path, "each thinking block must contain thinking")
    finding = prefix.examine(text, block[field])
    if finding is SignatureFinding.MODIFIED and is_latest:
        raise wrong(
            path,
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
            "These blocks must remain as they were in the original response.",
        )
    if finding in (SignatureFinding.MODIFIED, SignatureFinding.FORGED):
        raise wrong(path, f"Invalid `{field}` in `{block['type']}` block")
    return finding


def _seal(block: Json) -> str:
    return "signature" if block["type"] == "thinking" else "data"


def _mismatch(path: str, block: Json, finding: SignatureFinding) -> Refusal:
    return wrong(
        path,
        f"Invalid `{_seal(block)}` in `{block['type']}` block. The block is bound to a different "
        "conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "
        '"drop_block". '
        "That setting requires the `thinking-binding-controls-2026-08-01` value in the `anthropic-beta` "
        f"header. {_DIFFERENCE[finding]}",
    )


def _check_first_block(messages: list[Json], model: Model, thinking: Json | None) -> None:
    """With manual thinking on, the turn whose tools have just answered began with thinking."""
    if not model.manual(thinking) or not _answers(messages[-1]):
        return
    spoken = max((n for n, message in enumerate(messages) if _is_spoken(message)), default=-1)
    start = next(n for n in range(spoken + 1, len(messages)) if messages[n]["role"] == "assistant")
    first = blocks_of(messages[start])[0]["type"]
    if first not in THINKING:
        raise wrong(
            f"messages.{start}.content.0.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, "
            "a final `assistant` message must start with a thinking block (preceeding the lastmost set of "
            "`tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous "
            "turns. To avoid this requirement, disable `thinking`.",
        )


def _check_final_message(messages: list[Json], model: Model, thinking: Json | None) -> None:
    last = messages[-1]
    if last["role"] != "assistant" or model.thinks(thinking):
        return
    for position, block in enumerate(blocks_of(last)):
        if block["type"] in THINKING:
            raise wrong(
                f"messages.{len(messages) - 1}.content.{position}",
                "When thinking is disabled, an `assistant` message in the final position cannot contain "
                "`thinking`. To use thinking blocks, enable `thinking` in your request.",
            )


def _answers(message: Json) -> bool:
    return any(block["type"] == "tool_result" for block in blocks_of(message))


def _is_spoken(message: Json) -> bool:
    """Words of a person, which begin a new turn: not results alone, and not the assistant's."""
    return message["role"] == "user" and not _answers(message)


def _unsupported(kind: str) -> str:
    match kind:
        case "adaptive":
            return "adaptive thinking is not supported on this model"
        case "enabled":
            return (
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        case "disabled":
            return (
                '"thinking.type.disabled" is not supported for this model. Thinking defaults to adaptive '
                'mode when not specified; use "thinking.type.enabled" with "budget_tokens" for extended '
                "thinking."
            )
        case _:
            return f'"thinking.type.{kind}" is not supported for this model.'
