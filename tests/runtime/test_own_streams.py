"""Which follower is taken for the second stream of a program, and what is left out for it."""

from __future__ import annotations

import pytest

from app.conversation.event_facts import EventFact
from app.runtime.streams.event_log import EndMark
from app.runtime.streams.own_streams import Follower, OwnStreams, Program
from app.sse_format import numbered

TERMINAL = Program("ann", "10.0.0.1", "Go-http-client/1.1", "4001")
AGAIN = TERMINAL._replace(port="4002")  # on another connection


def never() -> bool:
    return False


def facts(first: int, last: int) -> list[bytes]:
    return numbered(first, [b'{"type":"agent_choice"}'] * (last - first + 1))


def shown(follower: Follower, first: int, last: int) -> list[tuple[int | None, str]]:
    kept, open_from = follower.sift(facts(first, last))
    assert open_from is None
    return [(fact.number, fact.type) for fact in map(EventFact.read, kept)]


def run(streams: OwnStreams, program: Program, first: int, last: int) -> bool:
    """A run whose own stream tells it to its end. Was there a second stream for it?"""
    with streams.asking("s", program) as own:
        if own is None:
            return False
        end = EndMark()
        own.begin(first, end)
        end.number = last
        own.advance(last)
        own.close()
        return True


@pytest.fixture
def streams() -> OwnStreams:
    made = OwnStreams()
    made.show_snapshot("s", TERMINAL, 7)
    return made


def test_a_follower_from_the_snapshot_on_is_the_second_stream_of_whoever_asks_on_its_connection(
    streams: OwnStreams,
) -> None:
    follower = streams.follow("s", AGAIN, 7)
    assert run(streams, TERMINAL, 8, 9)
    assert shown(follower, 8, 10) == [(9, "already_told"), (10, "agent_choice")]


def test_it_may_come_after_the_run_was_asked_for(streams: OwnStreams) -> None:
    assert run(streams, TERMINAL, 8, 9)
    assert shown(streams.follow("s", AGAIN, 7), 8, 9) == [(9, "already_told")]


def test_later_runs_may_come_on_any_connection(streams: OwnStreams) -> None:
    follower = streams.follow("s", AGAIN, 7)
    assert run(streams, TERMINAL, 8, 9)
    assert run(streams, TERMINAL._replace(port="4003"), 12, 13)
    assert [number for number, _ in shown(follower, 8, 14)] == [9, 10, 11, 13, 14]


def test_it_keeps_its_place_when_its_connection_breaks(streams: OwnStreams) -> None:
    follower = streams.follow("s", AGAIN, 7)
    assert run(streams, TERMINAL, 8, 9)
    follower.leave(9)
    follower = streams.follow("s", AGAIN._replace(port="4005"), 8)
    assert run(streams, TERMINAL, 10, 11)
    assert shown(follower, 9, 12) == [(9, "already_told"), (11, "already_told"), (12, "agent_choice")]


@pytest.mark.parametrize(
    "asks",
    [
        TERMINAL._replace(port="4009"),
        TERMINAL._replace(name="bob"),
        TERMINAL._replace(address="10.0.0.2"),
        TERMINAL._replace(user_agent="Go-http-client/2.0"),
    ],
)
def test_nothing_is_left_out_for_the_run_of_another(streams: OwnStreams, asks: Program) -> None:
    follower = streams.follow("s", AGAIN, 7)
    assert not run(streams, asks, 8, 9)
    assert len(shown(follower, 8, 10)) == 3


def test_nothing_is_left_out_for_a_follower_from_elsewhere(streams: OwnStreams) -> None:
    other = streams.follow("s", AGAIN, 6)
    assert run(streams, TERMINAL, 8, 9)
    assert len(shown(other, 8, 10)) == 3
    assert len(shown(streams.follow("t", AGAIN, 7), 8, 10)) == 3


def test_nothing_is_left_out_for_one_that_was_there_before_the_snapshot() -> None:
    streams = OwnStreams()
    older = streams.follow("s", AGAIN, 7)
    streams.show_snapshot("s", TERMINAL, 7)
    mine = streams.follow("s", AGAIN, 7)
    assert run(streams, TERMINAL, 8, 9)
    assert len(shown(older, 8, 9)) == 2
    assert shown(mine, 8, 9) == [(9, "already_told")]


def test_of_two_that_it_could_be_it_is_neither(streams: OwnStreams) -> None:
    both = [streams.follow("s", AGAIN, 7) for _ in range(2)]
    assert not run(streams, TERMINAL, 8, 9)
    assert [len(shown(one, 8, 9)) for one in both] == [2, 2]


def test_while_it_is_open_what_the_other_stream_tells_the_follower_waits(streams: OwnStreams) -> None:
    follower = streams.follow("s", AGAIN, 7)
    with streams.asking("s", TERMINAL) as own:
        assert own is not None
        assert follower.waits_for(8, 0.0, never), "the run may have begun"
        own.begin(9, EndMark())
        assert shown(follower, 8, 8) == [(8, "agent_choice")]
        assert follower.sift(facts(9, 10)) == ([], 9)
        own.advance(9)
        assert follower.sift(facts(9, 10)) == ([], 10)
        assert follower.waits_for(10, 0.0, never)
        own.close()
    assert not follower.waits_for(10, 0.0, never)
    assert shown(follower, 10, 11) == [(10, "agent_choice"), (11, "agent_choice")]


def test_a_run_that_is_refused_is_waited_for_no_more(streams: OwnStreams) -> None:
    follower = streams.follow("s", AGAIN, 7)
    with pytest.raises(ZeroDivisionError), streams.asking("s", TERMINAL):
        raise ZeroDivisionError
    assert not follower.waits_for(8, 0.0, never)
    assert len(shown(follower, 8, 9)) == 2
