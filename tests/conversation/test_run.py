"""The end of a call that its run left open, and the run's own state."""

from __future__ import annotations

import pytest

from app.conversation.run import Ending, Question, closing_text


@pytest.mark.parametrize("ending", ["cancelled", "failed", "interrupted"])
def test_a_call_that_began_is_unknown_however_the_run_ended(ending: Ending) -> None:
    state, words = closing_text(True, ending)
    assert state == "unknown"
    assert "not known whether" in words
    assert "rejected" not in words


@pytest.mark.parametrize(
    ("ending", "words"),
    [("cancelled", "canceled by the user"), ("failed", "not run"), ("interrupted", "not run")],
)
def test_a_call_that_had_not_begun_was_not_run_and_nobody_rejected_it(ending: Ending, words: str) -> None:
    closed, text = closing_text(False, ending)
    assert closed == "cancelled"
    assert words in text
    assert "reject" not in text


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("approval", "awaiting_approval"),
        ("max_iterations", "awaiting_approval"),
        ("elicitation", "awaiting_input"),
    ],
)
def test_the_status_says_what_kind_of_answer_is_missing(kind: str, status: str) -> None:
    assert Question(kind, session_id="s").status == status  # type: ignore[arg-type]
