"""The claim holds in every state; without any one of its rules, the explorer tells how it breaks."""

from __future__ import annotations

import pytest

from tests.claim_model.claim import Rules
from tests.claim_model.explorer import Finding, explore


@pytest.mark.parametrize("processes", [2, 3])
def test_with_all_rules_nothing_goes_wrong_and_no_session_is_stuck(processes: int) -> None:
    finding = explore(Rules(), processes=processes)
    assert finding.story == (), f"{finding.wrong}: {finding.story}"
    assert finding.states > 1000 * processes, "the model is too small to prove anything"


def without(**rules: object) -> Finding:
    return explore(Rules(**rules), processes=2)  # type: ignore[arg-type]


def test_without_a_fence_a_paused_holder_writes_into_the_run_that_took_over() -> None:
    finding = without(fence="none")
    assert finding.wrong == "a late process wrote"
    assert finding.story == ("A begins a run", "the lease runs out", "B begins a run", "A stores a call")


def test_a_look_before_the_write_is_no_fence() -> None:
    finding = without(fence="checked before")
    assert finding.wrong == "a late process wrote"
    assert finding.story[-3:] == ("A looks", "B begins a run", "A stores a call")


def test_the_run_alone_is_no_fence_when_another_process_goes_on_with_it() -> None:
    finding = without(fence="run only", parks="never")
    assert finding.wrong == "a late process wrote"
    assert finding.story[-3:] == ("B answers and takes the run", "A reads the answer", "A starts its tool")


def test_f10_without_a_fence_a_late_release_frees_a_newer_run() -> None:
    finding = without(fenced_release=False)
    assert finding.wrong == "a late process freed another run's session"
    assert finding.story[-2:] == ("B begins a run", "A ends its run")


def test_without_take_over_a_crash_leaves_a_session_that_nobody_can_use() -> None:
    finding = without(takes_over=False)
    assert finding.wrong == "a session can never be used again"
    assert finding.story[-1] == "A dies"


def test_parking_blindly_loses_an_answer_that_came_a_moment_before() -> None:
    finding = without(parks="blindly")
    assert finding.wrong == "a run goes on without a process"
    assert finding.story[-2:] == ("B answers", "A lets go")


def test_without_a_new_epoch_a_late_heartbeat_takes_a_parked_run_back() -> None:
    finding = without(parking_raises_epoch=False)
    assert finding.wrong == "a run goes on without a process"
    assert finding.story[-3:] == ("A lets go", "A renews the lease once more", "A answers")


def test_an_answer_that_is_accepted_without_a_taker_is_lost() -> None:
    finding = without(answer_needs_taker=False)
    assert finding.wrong == "a run goes on without a process"
    assert finding.story[-2:] == ("A lets go", "B answers")


def test_a_run_that_is_taken_before_there_is_a_thread_for_it_is_lost() -> None:
    finding = without(thread_before_taking=False)
    assert finding.wrong == "a run goes on without a process"
    assert finding.story[-2:] == ("B answers and takes the run", "B has no thread and gives up")


def test_a_call_that_is_not_stored_as_begun_before_it_acts_is_called_not_run() -> None:
    finding = without(begins_before_handler=False)
    assert finding.wrong == "the model is told that a call did not run, and it did"
    assert "A acts by its tool" in finding.story


def test_a_call_that_is_not_begun_any_more_after_its_form_is_called_not_run() -> None:
    finding = without(answer_keeps_begun=False)
    assert finding.wrong == "the model is told that a call did not run, and it did"
    assert finding.story[-4:] == ("A asks a form", "B answers", "the lease runs out", "B begins a run")


def test_an_adopter_that_counts_its_writes_from_the_beginning_uses_a_number_twice() -> None:
    finding = without(adopter_goes_on_counting=False)
    assert finding.wrong == "two writes have one number"
    assert finding.story[-2:] == ("B answers and takes the run", "B starts its tool")


def test_an_adopter_that_reserves_no_numbers_of_events_gives_some_that_are_given_again() -> None:
    finding = without(adopter_reserves=False)
    assert finding.wrong == "two events have one number"
    assert finding.story[-3:] == ("A answers and takes the run", "the lease runs out", "B begins a run")


def test_a_process_that_is_stopped_inside_a_transaction_keeps_the_session_for_ever() -> None:
    """Unless the database ends transactions in which nothing happens any more."""
    finding = without(ends_open_transactions=False)
    assert finding.wrong == "a session can never be used again"
    assert finding.story == ("A begins a run", "A opens a transaction", "A is stopped for good")
