"""Facts about Anthropic's models: windows, prices, and how each wants its thinking asked for.

A small static table instead of a download; state of 2026-11-22. A model that is not in it works all the
same, without a price and without a known window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.conversation.usage import Usage

DEFAULT_MAX_TOKENS: Final = 32_000
MIN_THINKING_BUDGET: Final = 1024
DEFAULT_THINKING_BUDGET: Final = 8192
LONG_PROMPT: Final = 100_000  # tokens
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")

Thinking = Literal["budget", "adaptive"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def of(self, usage: Usage) -> float:
        """USD of one call."""
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
        ) / 1_000_000


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`thinking` is how a model wants to be asked to think; None if it can't. `long_price` is that of calls whose
    prompt is longer than LONG_PROMPT, where they cost more."""

    window: int = 0  # tokens; 0: unknown
    max_output: int = 0
    thinking: Thinking | None = "adaptive"
    price: Price | None = None
    long_price: Price | None = None
    sampling: bool = False  # it takes a temperature
    efforts: tuple[str, ...] = EFFORTS  # how hard it can be told to think
    system_messages: bool = True  # it takes messages of the role `system` in the middle of a conversation


def facts(model: str) -> ModelFacts:
    """The facts of a model id; a date at its end is of no account."""
    if model in _MODELS:
        return _MODELS[model]
    undated, _, date = model.rpartition("-")
    return _MODELS.get(undated, _UNKNOWN) if len(date) == 8 and date.isdigit() else _UNKNOWN


def cost(model: str, usage: Usage) -> float:
    """USD of one call; 0 if the price is not known."""
    known = facts(model)
    price = known.price
    if known.long_price is not None and usage.prompt_tokens > LONG_PROMPT:
        price = known.long_price
    return price.of(usage) if price is not None else 0.0


def thinking_options(model: str, budget: int | str | None, *, max_tokens: int) -> Mapping[str, Any]:
    """Request fields that make the model think: `budget` is tokens, an effort, or None for the default.

    Tokens are sent only to models that still take them; for the others the model decides how much.
    """
    known = facts(model)
    if isinstance(budget, str):
        budget = budget.removeprefix("adaptive/")
    if known.thinking is None or budget in (0, "none"):
        return {}
    if known.thinking == "budget":
        tokens = budget if isinstance(budget, int) and budget > 0 else DEFAULT_THINKING_BUDGET
        tokens = max(MIN_THINKING_BUDGET, min(tokens, max_tokens - 1))
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}} if tokens < max_tokens else {}
    thinking = {"thinking": {"type": "adaptive", "display": "summarized"}}
    return {**thinking, "output_config": {"effort": budget}} if budget in EFFORTS else thinking


def sampling_options(
    model: str, temperature: float | None, top_p: float | None, *, thinks: bool
) -> Mapping[str, float]:
    """Request fields for how much chance there is in an answer, for models that still take them and don't think.
    They take one of the two, and no temperature above 1."""
    if thinks or not facts(model).sampling:
        return {}
    if temperature is not None:
        return {"temperature": min(temperature, 1.0)}
    return {} if top_p is None else {"top_p": top_p}


_M: Final = 1_000_000
_K: Final = 1_000
_NO_XHIGH: Final = ("low", "medium", "high", "max")
_UNKNOWN: Final = ModelFacts(system_messages=False)
_MODELS: Final[Mapping[str, ModelFacts]] = {
    # where no price for caching is published: reads at 0.1 and writes at 1.25 of the input price
    "claude-fable-5-2": ModelFacts(_M, 128 * _K, price=Price(8, 40, 0.8, 10)),
    "claude-fable-5-1": ModelFacts(_M, 128 * _K, price=Price(10, 50, 0.25, 12.5)),
    "claude-mythos-5-1": ModelFacts(_M, 128 * _K, price=Price(10, 50, 0.25, 12.5)),
    "claude-mythos-5-2": ModelFacts(_M, 128 * _K),
    "claude-fable-5": ModelFacts(_M, 128 * _K, price=Price(10, 50, 1, 12.5)),
    "claude-mythos-5": ModelFacts(_M, 128 * _K, price=Price(10, 50, 1, 12.5)),
    "claude-opus-5-5": ModelFacts(_M, 128 * _K, price=Price(4, 20, 0.2, 5)),
    "claude-opus-5": ModelFacts(_M, 128 * _K, price=Price(5, 25, 0.5, 6.25)),
    "claude-opus-4-8": ModelFacts(_M, 128 * _K, price=Price(5, 25, 0.5, 6.25)),
    "claude-opus-4-7": ModelFacts(_M, 128 * _K, price=Price(5, 25, 0.5, 6.25), system_messages=False),
    "claude-opus-4-6": ModelFacts(
        _M, 128 * _K, price=Price(5, 25, 0.5, 6.25), sampling=True, efforts=_NO_XHIGH, system_messages=False
    ),
    "claude-opus-4-5": ModelFacts(
        200 * _K, 64 * _K, "budget", Price(5, 25, 0.5, 6.25), sampling=True, system_messages=False
    ),
    "claude-sonnet-5-5": ModelFacts(_M, 128 * _K, price=Price(2, 10, 0.2, 2.5)),
    "claude-sonnet-5": ModelFacts(_M, 128 * _K, price=Price(2, 10, 0.2, 2.5)),
    "claude-sonnet-4-6": ModelFacts(
        _M, 128 * _K, price=Price(3, 15, 0.3, 3.75), sampling=True, efforts=_NO_XHIGH, system_messages=False
    ),
    "claude-sonnet-4-5": ModelFacts(
        200 * _K, 64 * _K, "budget", Price(3, 15, 0.3, 3.75), sampling=True, system_messages=False
    ),
    "claude-haiku-5-5": ModelFacts(
        _M, 128 * _K, price=Price(0.1, 0.5, 0.01, 0.125), long_price=Price(0.5, 2.5, 0.05, 0.625)
    ),
    "claude-haiku-4-5": ModelFacts(
        200 * _K, 64 * _K, "budget", Price(1, 5, 0.1, 1.25), sampling=True, system_messages=False
    ),
}

NAMES: Final = tuple(_MODELS)
