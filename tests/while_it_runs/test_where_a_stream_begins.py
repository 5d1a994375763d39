"""Where a reader of a session's events begins: by its cursor, or by what its generation of clients expects."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.harness.in_process import LocalClient
from tests.harness.wire import text_of
from tests.while_it_runs.cutting import numbered

MARCH = {"Baton-Wire": "march-2026"}


def two_runs(client: LocalClient) -> tuple[str, bytes, list[int]]:
    """A session with two runs that have ended; the frames of both, and the numbers of their last events."""
    session, frames, ends = client.new_session(), b"", []
    for word in ("one", "two"):
        with client.run(session, f"[say {word}]") as stream:
            stream.rest()
        frames += numbered(bytes(stream.raw))
        ends.append(stream.ids[-1])
    return session, frames, ends


@pytest.mark.parametrize("where", ["here", "there"])
def test_without_a_cursor_all_that_is_kept_comes_first_and_then_what_happens(
    here: LocalClient, there: LocalClient, where: str
) -> None:
    session, frames, _ = two_runs(here)
    reader = {"here": here, "there": there}[where]
    with reader.follow(session) as following, here.run(session, "[say three]") as stream:
        stream.rest()
        for _ in range(3):
            following.until("stream_stopped")
    assert numbered(bytes(following.raw)) == frames + numbered(bytes(stream.raw))


@pytest.mark.parametrize(("begin", "headers"), [("run", None), (None, MARCH)])
def test_it_can_begin_with_the_run_at_work(
    here: LocalClient,
    there: LocalClient,
    model: OfflineServer,
    begin: str | None,
    headers: Mapping[str, str] | None,
) -> None:
    session, _, _ = two_runs(here)
    with here.run(session, "[hold 1][say three more]") as stream:
        stream.until("agent_choice")
        with there.follow(session, begin=begin, headers=headers) as following:
            following.until("agent_choice")
            model.release()
            stream.rest()
            following.until("stream_stopped")
    assert text_of(following.events) == "three more"
    with here.follow(session, begin=begin, headers=headers) as idle:
        here.say(session, "[say four]")
        idle.until("stream_stopped")
    assert text_of(idle.events) == "four"


def test_all_that_is_kept_can_be_had_by_a_client_of_march(local: LocalClient) -> None:
    session, frames, _ = two_runs(local)
    with local.follow(session, begin="beginning", headers=MARCH) as following:
        for _ in range(2):
            following.until("stream_stopped")
    assert numbered(bytes(following.raw)) == frames


@pytest.mark.parametrize(
    ("headers", "begins_with"), [({}, "the query"), (MARCH, "the header")], ids=["later", "march"]
)
def test_of_two_cursors_one_counts(local: LocalClient, headers: Mapping[str, str], begins_with: str) -> None:
    session, _, (first, last) = two_runs(local)
    cursors = {"the query": first, "the header": last - 1}
    with local.follow(session, since=first, headers={"Last-Event-ID": str(last - 1), **headers}) as following:
        following.until("stream_stopped")
    assert following.ids[0] == cursors[begins_with] + 1


def test_a_header_alone_counts_as_a_browser_sends_it(local: LocalClient) -> None:
    session, _, (first, _) = two_runs(local)
    with local.follow(session, headers={"Last-Event-ID": str(first)}) as following:
        following.until("stream_stopped")
    assert following.ids[0] == first + 1


def test_events_that_are_not_kept_any_more_are_no_gap_for_a_reader_without_a_cursor(
    local: LocalClient,
) -> None:
    session, _, (first, last) = two_runs(local)
    local.server.store.events.prune(older_than_seconds=3600, keep_events=last - first)
    with local.follow(session) as following:
        following.until("stream_stopped")
    assert "gap" not in following.types
    assert following.ids[0] == first + 1


def test_a_session_without_events_waits_for_the_first(local: LocalClient) -> None:
    session = local.new_session()
    with local.follow(session) as following, local.run(session, "[say one]") as stream:
        stream.rest()
        following.until("stream_stopped")
    assert following.ids == stream.ids


def test_another_beginning_is_refused(local: LocalClient) -> None:
    session = local.new_session()
    local.call("GET", f"/api/sessions/{session}/events?from=middle", expect=422)


@pytest.mark.parametrize("headers", [{}, MARCH], ids=["later", "march"])
def test_a_condensed_run_is_read_on_from_every_event(local: LocalClient, headers: Mapping[str, str]) -> None:
    """As it is stored some minutes after its end."""
    session = local.new_session()
    words = " ".join(f"word{number}" for number in range(90))
    with local.run(session, f"[say {words}]") as stream:
        stream.rest()
    texts = {
        number: event.get("content", "") if event["type"] == "agent_choice" else ""
        for number, event in zip(stream.ids, stream.events, strict=True)
    }
    assert local.server.store.condenser.condense(ended_for=-60) > 0
    for cursor in (stream.ids[0], stream.ids[20], stream.ids[47], stream.ids[-2]):
        with local.follow(session, since=cursor, headers=headers) as following:
            following.until("stream_stopped")
        assert text_of(following.events) == "".join(text for number, text in texts.items() if number > cursor)
        assert following.ids[-1] == stream.ids[-1]
        assert len(following.events) < 12
