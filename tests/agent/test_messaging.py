"""To which thread a message goes."""

from __future__ import annotations

import uuid

import pytest

from app.agent.messaging import ToThread, chosen_thread
from app.agent.toolset import ToolResult
from app.conversation.session import Session
from app.conversation.session_thread import MAX_THREADS, SessionThread, ThreadStatus
from app.conversation.usage import Usage
from app.managed_ids import thread_id


def thread(agent: str = "a", status: ThreadStatus = "idle") -> SessionThread:
    session = Session(id=str(uuid.uuid4()), agent=f"key/{agent}")
    return SessionThread(session, status, 0.0, None, Usage(), 0.0, 0.0)


OLD, NEW, OVER, OTHER = thread(), thread(), thread(status="terminated"), thread("b")
THREADS = [OLD, NEW, OVER, OTHER]


def name(one: SessionThread) -> str:
    return thread_id(one.session.id)


@pytest.mark.parametrize(
    ("wanted", "found"), [("", NEW), (name(OLD), OLD), ("new", None)], ids=["newest", "named", "new"]
)
def test_a_message_goes_to_the_newest_thread_or_the_one_that_is_named(
    wanted: str, found: SessionThread | None
) -> None:
    assert chosen_thread(ToThread("a", "x", thread=wanted), THREADS) is found


def test_an_agent_without_a_thread_that_lives_gets_one() -> None:
    assert chosen_thread(ToThread("a", "x"), [OVER, OTHER]) is None


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(name(OVER), "has ended"), (name(OTHER), "has no thread"), ("x", "has no thread")],
    ids=["ended", "another's", "unknown"],
)
def test_a_thread_that_can_not_be_written_to_is_refused_in_words(wanted: str, words: str) -> None:
    refused = chosen_thread(ToThread("a", "x", thread=wanted), THREADS)
    assert isinstance(refused, ToolResult)
    assert refused.is_error
    assert words in refused.output


def test_so_many_threads_may_live_and_no_more() -> None:
    many = [thread("b") for _ in range(MAX_THREADS)]
    refused = chosen_thread(ToThread("a", "x"), many)
    assert isinstance(refused, ToolResult)
    assert f"There are {MAX_THREADS} threads" in refused.output
    assert chosen_thread(ToThread("b", "x"), many) is many[-1]
    assert chosen_thread(ToThread("a", "x"), [*many[1:], OVER]) is None
