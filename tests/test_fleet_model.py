"""The line that `python -m bench.fleet` lays through what it has measured."""

from __future__ import annotations

import math

import pytest

from bench.fleet.linear_model import fit

FLEETS = ((2, 40), (2, 400), (10, 200), (10, 2000))
"""Processes, and live runs of all of them."""


def test_both_parts_of_a_figure_are_found() -> None:
    line = fit([(p, n, 16.0 * p + 0.1 * n) for p, n in FLEETS])

    assert line.per_process == pytest.approx(16.0)
    assert line.per_run == pytest.approx(0.1)
    assert line.worst == pytest.approx(0.0, abs=1e-9)
    assert line.at(50, 10_000) == pytest.approx(1800.0)


def test_a_part_that_would_be_negative_is_left_out() -> None:
    line = fit([(2, 40, 1.0), (2, 400, 40.0), (10, 200, 10.0), (10, 2000, 180.0)])

    assert line.per_process == 0.0
    assert 0.02 < line.per_run < 0.1
    assert line.worst > 0.1


def test_a_bound_says_how_many_runs_it_leaves() -> None:
    line = fit([(p, n, 16.0 * p + 0.1 * n) for p, n in FLEETS])

    assert line.runs_within(1000.0, runs_per_process=200) == pytest.approx(1000.0 / (0.1 + 16.0 / 200))


def test_what_costs_nothing_has_no_bound() -> None:
    assert fit([(2, 40, 0.0)]).runs_within(1.0, runs_per_process=200) == math.inf


def test_fleets_of_one_size_tell_only_the_cost_of_a_run() -> None:
    line = fit([(2, 400, 40.0), (10, 2000, 200.0)])

    assert line.per_process == 0.0
    assert line.per_run == pytest.approx(0.1)
