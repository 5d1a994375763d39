"""The cost of a model call."""

from __future__ import annotations

import pytest

from app.agent.model_catalogue import LONG_PROMPT, cost, thinking_options
from app.conversation.usage import Usage

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("claude-sonnet-5-5", Usage(MILLION, 0, 0, 0), 2.0),
        ("claude-sonnet-5-5", Usage(0, MILLION, 0, 0), 10.0),
        ("claude-sonnet-5-5", Usage(0, 0, MILLION, MILLION), 2.7),
        ("claude-haiku-4-5-20251001", Usage(MILLION, 0, 0, 0), 1.0),
        ("claude-haiku-5-5", Usage(LONG_PROMPT, MILLION, 0, 0), 0.51),
        ("claude-haiku-5-5", Usage(LONG_PROMPT, MILLION, 1, 0), 2.55),
        ("nobody-knows-it", Usage(MILLION, MILLION, 0, 0), 0.0),
    ],
)
def test_a_call_costs_what_its_tokens_do_and_more_where_long_prompts_do(
    model: str, usage: Usage, dollars: float
) -> None:
    assert cost(model, usage) == pytest.approx(dollars, rel=1e-5)


def test_an_effort_may_be_written_behind_adaptive() -> None:
    asked = [
        thinking_options("claude-sonnet-5-5", budget, max_tokens=9_000)
        for budget in ("adaptive/low", "low", "adaptive")
    ]
    assert asked[0] == asked[1]
    assert asked[0]["output_config"] == {"effort": "low"}
    assert "output_config" not in asked[2]
