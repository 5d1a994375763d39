"""The safety policy of a session: which tool calls run without a question, where no pattern says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

SafetyPolicy = Literal["", "strict", "balanced", "restricted", "autonomous"]
"""Empty: nobody has chosen one. The table of what each does stands in `docs/agents.md`."""

GivenPolicy = Literal["", "strict", "balanced", "restricted", "autonomous", "safer", "safe-auto", "unsafe"]
"""With the names that older clients have for them."""

_SAME_AS: Final[Mapping[str, SafetyPolicy]] = {
    "safer": "balanced",
    "safe-auto": "balanced",
    "unsafe": "autonomous",
    "strict": "strict",
    "balanced": "balanced",
    "restricted": "restricted",
    "autonomous": "autonomous",
    "": "",
}

DECIDES_BY_ITSELF: Final[frozenset[SafetyPolicy]] = frozenset({"balanced", "restricted", "autonomous"})
"""Under these a wish of the agent's file to be asked does not count: the session's user has chosen."""


def policy_named(name: str) -> SafetyPolicy:
    """By whatever name. One that is not known, from a newer version, is the strictest: it must not widen."""
    return _SAME_AS.get(name, "strict")
