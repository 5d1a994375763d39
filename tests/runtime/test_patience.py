"""Patience repeats what may be repeated, ends in time, and is cut short by a cancellation."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from app.errors import AppError, RunCancelled, SessionNotFound, StoreUnavailable
from app.runtime import patience
from app.runtime.live_run import RunCancellation
from app.runtime.patience import Patience

SECONDS = 20.0


class Transaction:
    """Fails so many times, then returns its number."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self._failures = failures
        self._error = error or StoreUnavailable()
        self.tries = 0
        self.failed = threading.Event()

    def __call__(self, *, answer: str = "done") -> str:
        self.tries += 1
        if self.tries <= self._failures:
            self.failed.set()
            raise self._error
        return answer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that no test waits for."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1000.0)
    monkeypatch.setattr(patience, "FIRST_PAUSE", 500.0)


@pytest.mark.usefixtures("quick")
def test_a_transaction_is_repeated_until_the_database_answers() -> None:
    transaction = Transaction(3)
    assert Patience()(transaction, answer="here") == "here"
    assert transaction.tries == 4
    assert Patience().around(transaction)() == "done"


@pytest.mark.usefixtures("quick")
def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.02)
    transaction = Transaction(1_000)
    with pytest.raises(StoreUnavailable):
        Patience(RunCancellation())(transaction)
    assert 1 < transaction.tries < 1_000


@pytest.mark.parametrize("error", [SessionNotFound(), ValueError("a bug")], ids=["refused", "a bug"])
def test_another_error_is_not_repeated(error: Exception) -> None:
    transaction = Transaction(1, error)
    with pytest.raises(type(error)):
        Patience()(transaction)
    assert transaction.tries == 1


def _outcome(patient: Callable[[], str], outcomes: list[object]) -> None:
    try:
        outcomes.append(patient())
    except AppError as error:
        outcomes.append(type(error))
    except RunCancelled:
        outcomes.append(RunCancelled)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(
    ("left", "lost", "outcome"),
    [
        (0.0, False, RunCancelled),
        (1000.0, True, StoreUnavailable),
    ],
    ids=["cancelled", "lost"],
)
def test_a_cancellation_ends_the_wait(
    monkeypatch: pytest.MonkeyPatch, left: float, lost: bool, outcome: object
) -> None:
    monkeypatch.setattr(patience, "CANCELLED_SECONDS", left)
    cancellation, transaction = RunCancellation(), Transaction(1_000)
    outcomes: list[object] = []
    patient = Patience(cancellation, lost=lambda: lost and cancellation.is_set())
    thread = threading.Thread(target=_outcome, args=(lambda: patient(transaction), outcomes))
    thread.start()
    assert transaction.failed.wait(SECONDS)
    cancellation.cancel("ann")
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert outcomes == [outcome]


def test_what_a_cancelled_run_has_still_to_write_gets_a_second_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    cancellation = RunCancellation()
    cancellation.cancel("ann")
    monkeypatch.setattr(patience, "CANCELLED_SECONDS", SECONDS)
    assert Patience(cancellation)(Transaction(2)) == "done"


@pytest.mark.usefixtures("quick")
def test_an_outage_is_logged_once_however_many_wait_and_try(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=patience.__name__)
    Patience()(Transaction(0))  # whatever happened before is over
    caplog.clear()
    all_failed = threading.Barrier(4)

    def wait_for_it() -> None:
        transaction = Transaction(3)

        def transact() -> str:
            if transaction.tries == 3:
                all_failed.wait(SECONDS)
            return transaction()

        Patience()(transact)

    threads = [threading.Thread(target=wait_for_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("the database does not answer")
    assert messages[1].startswith("the database answers again")
