"""One call to a tool server, seen from both threads: its outcome as far as it is known whenever the run is
cancelled."""

from __future__ import annotations

import pytest

from app.agent.tools.mcp.exchange import CallDone, CallFailed, Exchange
from app.agent.toolset import OutcomeUnknown, ToolCancelled
from tests.agent.cancellation import FakeCancellation


@pytest.fixture
def cancelled() -> FakeCancellation:
    cancellation = FakeCancellation()
    cancellation.cancel()
    return cancellation


def test_a_call_that_is_given_up_before_it_begins_is_not_sent(cancelled: FakeCancellation) -> None:
    exchange = Exchange()
    with pytest.raises(ToolCancelled):
        exchange.next(cancelled)
    assert not exchange.begin()


def test_a_call_that_has_begun_may_have_been_carried_out(cancelled: FakeCancellation) -> None:
    exchange = Exchange()
    assert exchange.begin()
    with pytest.raises(OutcomeUnknown):
        exchange.next(cancelled)


def test_a_result_that_is_there_counts_more_than_a_cancel(cancelled: FakeCancellation) -> None:
    exchange = Exchange()
    exchange.begin()
    exchange.tell(CallDone({"content": []}))
    assert exchange.next(cancelled) == CallDone({"content": []})


def test_what_was_said_not_to_be_sent_is_not_sent_later() -> None:
    exchange = Exchange()
    exchange.begin()
    exchange.tell(CallFailed("the connection was lost", exchange.has_left))
    with pytest.raises(ConnectionAbortedError):
        exchange.leave()
    assert not exchange.has_left


def test_only_the_first_end_counts() -> None:
    exchange = Exchange()
    exchange.tell(CallFailed("lost"))
    exchange.tell(CallDone({}))
    assert exchange.next(FakeCancellation()) == CallFailed("lost")
