"""Go's durations, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.team.config import RunBudget
from app.team.durations import parse_duration, render_duration
from tests.team.teams import steady


@pytest.mark.parametrize(
    ("text", "seconds", "rendered"),
    [
        ("30s", 30, "30s"),
        ("1m", 60, "1m0s"),
        ("2m30s", 150, "2m30s"),
        ("1h", 3600, "1h0m0s"),
        ("1h0.5s", 3600.5, "1h0m0.5s"),
        ("500ms", 0.5, "500ms"),
        ("1.5s", 1.5, "1.5s"),
        (".5m", 30, "30s"),
        ("1500us", 0.0015, "1.5ms"),
        ("12µs", 0.000012, "12µs"),
        ("7ns", 7e-9, "7ns"),
        ("-1m", -60, "-1m0s"),
        ("0", 0, ""),
        ("", 0, ""),
    ],
)
def test_a_duration_reads_and_is_spelled_as_go_does(text: str, seconds: float, rendered: str) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)
    assert render_duration(parse_duration(text)) == rendered


@pytest.mark.parametrize(
    "text", ["5", "s", "1 s", "1x", "1m2", "one minute", "1s,", "1e3s", "٣s", "1" * 200 + "s"]
)
def test_what_go_would_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@steady
@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_a_rendered_duration_reads_as_the_same_duration(microseconds: int) -> None:
    seconds = microseconds / 1_000_000
    assert parse_duration(render_duration(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "9" * 90 + "h", 10**30, 10**400, "100000h"])
def test_a_field_takes_no_time_that_no_clock_has(value: object) -> None:
    with pytest.raises(ValidationError, match=r"at most ten years|too large"):
        RunBudget.model_validate({"max_time": value})
