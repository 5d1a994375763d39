"""What a figure costs for each process and for each live run, and where one PostgreSQL ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Linear:
    """`figure = per_process × processes + per_run × live runs`."""

    per_process: float
    per_run: float
    worst: float  # the largest deviation of a measured point, as a share of it

    def at(self, processes: float, runs: float) -> float:
        return self.per_process * processes + self.per_run * runs

    def runs_within(self, bound: float, runs_per_process: float) -> float:
        """How many live runs in all keep the figure within the bound, with so many in each process."""
        per_run = self.per_run + self.per_process / runs_per_process
        return bound / per_run if per_run > 0 else math.inf


def fit(points: Sequence[tuple[float, float, float]]) -> Linear:
    """The least squares of relative deviations, of (processes, live runs, figure); needs two points of different
    runs for each process. Neither part is negative: what would be is left out."""
    weighted = [(p / y, n / y) for p, n, y in points if y > 0]
    pp, nn, pn = (sum(a * b for a, b in pairs) for pairs in _products(weighted))
    p, n = sum(a for a, _ in weighted), sum(b for _, b in weighted)
    determinant = pp * nn - pn * pn
    per_process = per_run = 0.0
    if determinant > 1e-12 * pp * nn:
        per_process, per_run = (p * nn - n * pn) / determinant, (n * pp - p * pn) / determinant
    if per_process < 0 or determinant <= 1e-12 * pp * nn:
        per_process, per_run = 0.0, n / nn if nn else 0.0
    if per_run < 0:
        per_process, per_run = p / pp, 0.0
    deviations = [abs(per_process * a + per_run * b - 1.0) for a, b in weighted]
    return Linear(per_process, per_run, max(deviations, default=0.0))


def _products(
    weighted: Sequence[tuple[float, float]],
) -> tuple[Sequence[tuple[float, float]], ...]:
    return (
        [(a, a) for a, _ in weighted],
        [(b, b) for _, b in weighted],
        list(weighted),
    )
