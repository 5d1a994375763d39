"""The steps of a walk: which there are, and in which order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.walk.faults import FAULTS, Fault


@dataclass(frozen=True, slots=True)
class Step:
    scenario: str
    point: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.scenario} {self.point} {self.fault}"


def all_steps(
    points: Mapping[str, Mapping[str, str]], faults: Sequence[str], *, seed: int, percent: float = 100
) -> list[Step]:
    """Every scenario, point and fault, in an order that the seed decides; or the first so many percent of it."""
    steps = [
        Step(scenario, point, fault)
        for scenario, found in points.items()
        for point in sorted(found)
        for fault in FAULTS
        if fault in faults
    ]
    random.Random(seed).shuffle(steps)
    return steps[: round(len(steps) * percent / 100)]


def describe(points: Mapping[str, Mapping[str, str]]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in size_of(points).most_common())
    total = sum(len(found) for found in points.values())
    return f"{len(points)} scenarios x {total} points ({kinds}) x {len(FAULTS)} faults"


def size_of(points: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """How many points of each kind there are in all scenarios."""
    return Counter(point.partition("/")[0] for found in points.values() for point in found)
