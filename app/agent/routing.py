"""Which model answers, by what the user's message is like: the rules under `routing` of a model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.team.agent import Agent
from app.team.model_definition import ModelSpec

LIKE: Final = 0.2
"""From 0, no word in common, to 1: how like an example a message must be."""

_WORD: Final = re.compile(r"\w+")


def routed(agent: Agent, text: str, find: Callable[[str], tuple[ModelSpec, ...]]) -> Agent:
    """The agent with the model whose examples are most like the text; with its own if none is like it, or if it has
    no rules. The first one counts among rules that are equally near."""
    rules = agent.models[0].routing if len(agent.models) == 1 else ()
    examples = [(_words(example), rule.model) for rule in rules for example in rule.examples or ()]
    weights = _weights([words for words, _ in examples])
    said = _words(text)
    likeness, model = max(
        ((_likeness(said, words, weights), model) for words, model in examples),
        key=lambda found: found[0],
        default=(0.0, ""),
    )
    found = find(model) if likeness >= LIKE else ()
    return agent.with_(models=found) if found else agent


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _weights(examples: Sequence[frozenset[str]]) -> Mapping[str, float]:
    """Words that many examples have say little."""
    counts = Counter(word for words in examples for word in words)
    return {word: math.log(1 + len(examples) / count) for word, count in counts.items()}


def _likeness(said: frozenset[str], example: frozenset[str], weights: Mapping[str, float]) -> float:
    """How much of the example is in what was said, and how much of what was said is in it."""
    common = sum(weights[word] for word in said & example)
    if not common:
        return 0.0
    own = sum(weights[word] for word in example)
    all_said = sum(weights.get(word, 1.0) for word in said)
    return common / math.sqrt(own * all_said)
