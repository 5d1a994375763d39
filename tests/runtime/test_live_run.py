"""How a run is told: to stop, once; of an answer, the one it waits for; that it has lost its session."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from app.conversation.run import Answer, Question
from app.errors import BatonLost, RunCancelled
from app.runtime.live_run import LiveRun, RunCancellation
from app.runtime.live_runs import describe
from tests.harness.wire import in_parallel
from tests.runtime.live import live_run

QUESTION = Question("approval", "s", "call", id="q1")


def _stays() -> Answer:
    raise AssertionError("no process goes away here")


def test_whoever_works_is_told_once_however_many_cancel_at_once() -> None:
    for _ in range(50):
        cancellation = RunCancellation()
        told: list[str] = []

        def work(cancellation: RunCancellation = cancellation, told: list[str] = told) -> None:
            with cancellation.calling(lambda: told.append("during")):
                assert cancellation.wait(10)

        def cancel(by: str, cancellation: RunCancellation = cancellation) -> None:
            cancellation.cancel(by)

        with cancellation.calling(partial(told.append, "before")):
            in_parallel([work, *[lambda n=n, cancel=cancel: cancel(f"user{n}") for n in range(3)]])
        assert sorted(told) == ["before", "during"]
        assert cancellation.by.startswith("user")


def test_who_comes_after_the_cancel_is_told_at_once_and_who_has_left_is_not() -> None:
    cancellation = RunCancellation()
    told: list[str] = []
    with cancellation.calling(lambda: told.append("left")):
        pass
    cancellation.cancel("first")
    cancellation.cancel("second")
    assert cancellation.by == "first"
    with cancellation.calling(lambda: told.append("late")):
        assert told == ["late"]
    assert cancellation.is_set()


def test_one_who_breaks_when_told_does_not_keep_the_others_from_being_told() -> None:
    cancellation = RunCancellation()
    told: list[str] = []

    def breaks() -> None:
        raise OSError("the socket is gone")

    with cancellation.calling(breaks), cancellation.calling(lambda: told.append("told")):
        cancellation.cancel("somebody")
    assert told == ["told"]


def _wait_in_a_thread(live: LiveRun) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def wait() -> None:
        try:
            outcome.append(live.wait_for_answer(_stays))
        except (RunCancelled, BatonLost) as error:
            outcome.append(type(error))

    live.expect_answer(QUESTION)
    thread = threading.Thread(target=wait)
    thread.start()
    return thread, outcome


def test_a_waiting_run_takes_the_answer_to_its_own_question_only() -> None:
    live = live_run()
    thread, outcome = _wait_in_a_thread(live)
    assert (describe(live).busy_code, live.status) == ("awaiting_approval", "awaiting_approval")
    live.deliver(Answer("reject", question_id="q0"))
    live.deliver(Answer("approve", question_id="q1"))
    thread.join(10)
    assert outcome == [Answer("approve", question_id="q1")]
    assert (describe(live).busy_code, live.status, live.waiting_for) == ("session_busy", "running", None)


def test_an_answer_that_is_there_before_the_run_waits_is_not_lost() -> None:
    live = live_run()
    live.expect_answer(QUESTION)
    live.deliver(Answer("approve", question_id="q1"))
    assert live.wait_for_answer(_stays).decision == "approve"


def test_an_answer_is_not_taken_for_one_to_the_next_question() -> None:
    live = live_run()
    live.expect_answer(QUESTION)
    live.deliver(Answer("approve", question_id="q1"))
    live.wait_for_answer(_stays)
    live.expect_answer(Question("approval", "s", "other", id="q2"))
    live.cancellation.cancel("somebody")
    with pytest.raises(RunCancelled):
        live.wait_for_answer(_stays)


def test_a_waiting_run_is_woken_by_a_cancel_and_by_the_loss_of_its_session() -> None:
    for act, expected in (
        (lambda live: live.cancellation.cancel("x"), RunCancelled),
        (LiveRun.lose, BatonLost),
    ):
        live = live_run()
        thread, outcome = _wait_in_a_thread(live)
        act(live)
        thread.join(10)
        assert outcome == [expected]
        assert describe(live).busy_code == "stopping"


def test_of_many_who_would_end_a_run_one_does() -> None:
    live = live_run()
    assert sum(first for (first,) in in_parallel([lambda: [live.begin_ending()]] * 8)) == 1
    assert live.ending
