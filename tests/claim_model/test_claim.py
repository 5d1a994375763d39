"""The claim holds in every state; without any one of its rules, the explorer tells how it breaks."""

from __future__ import annotations

import pytest

from tests.claim_model.claim import Rules
from tests.claim_model.explorer import explore


@pytest.mark.parametrize("processes", [2, 3])
def test_nobody_writes_late_nobody_frees_late_and_no_session_is_stuck(processes: int) -> None:
    finding = explore(Rules(), processes=processes)
    assert finding.story == (), f"{finding.wrong}: {finding.story}"
    assert finding.states > 100 * processes, "the model is too small to prove anything"


def test_without_a_fence_a_paused_holder_writes_into_the_run_that_took_over() -> None:
    finding = explore(Rules(fence="none"), processes=2)
    assert finding.wrong == "a late writer wrote"
    assert finding.story == ("A begins a run", "the lease runs out", "B begins a run", "A writes")


def test_a_look_before_the_write_is_no_fence() -> None:
    finding = explore(Rules(fence="checked before"), processes=2)
    assert finding.wrong == "a late writer wrote"
    assert finding.story[-1] == "A writes"
    assert "A looks whether it still holds the session" in finding.story


def test_the_run_alone_is_no_fence_when_another_process_goes_on_with_it() -> None:
    finding = explore(Rules(fence="run only"), processes=2)
    assert finding.wrong == "a late writer wrote"
    assert "B answers and goes on with the run" in finding.story


def test_f10_without_a_fence_a_late_release_frees_a_newer_run() -> None:
    finding = explore(Rules(fenced_release=False), processes=2)
    assert finding.wrong == "a late release freed somebody else's session"
    assert finding.story[-2:] == ("B begins a run", "A ends its run")


def test_without_take_over_a_crash_leaves_a_session_that_nobody_can_use() -> None:
    finding = explore(Rules(takes_over=False), processes=2)
    assert finding.wrong == "a session can never be used again"
    assert finding.story[-1] == "A dies"
