"""F37, F38: a reader that comes back gets what it missed, byte for byte, from whatever process; slow and dead
readers cost nobody anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.runtime.streams import recent_events
from app.settings import Settings
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.process import eventually
from tests.harness.wire import text_of
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.cutting import Connect, Connection, Cutter, numbered

LONG = "[words 300][pace 400]"


class LocalConnection:
    def __init__(self, stream: LocalStream) -> None:
        self._stream = stream

    def chunks(self) -> Iterator[bytes]:
        return self._stream.response.iter_encoded()

    def hang_up(self) -> None:
        self._stream.response.close()


def connect(server: Server, session: str) -> Connect:
    def open_after(number: int) -> Connection:
        return LocalConnection(LocalClient(server).follow(session, since=number))

    return open_after


def bounds(frames: bytes) -> tuple[int, int]:
    numbers = [int(line[4:]) for line in frames.split(b"\n") if line.startswith(b"id: ")]
    return numbers[0], numbers[-1]


def test_f37_a_reader_cut_again_and_again_gets_every_byte_once(
    servers: Servers, here: LocalClient, settings: Settings
) -> None:
    session = here.new_session()
    stream = here.run(session, LONG)
    with stream:
        stream.until("stream_started")
        reading = threading.Thread(target=stream.rest)
        reading.start()
        cutter = Cutter(Random(37), mean_bytes=1500)
        both = [connect(server, session) for server in servers]
        live = cutter.collect(both, after=0, last=200)  # while it runs
        reading.join()
    faithful = numbered(bytes(stream.raw))
    first, last = bounds(faithful)
    assert faithful[: len(live)] == live
    for _ in range(2):
        assert cutter.collect(both, after=first - 1, last=last) == faithful
    restarted = build(settings)
    assert cutter.collect([connect(restarted, session)], after=first - 1, last=last) == faithful
    restarted.close()
    assert cutter.cuts > 100


def test_a_reader_of_another_process_sees_a_live_run_from_its_beginning_to_its_end(
    here: LocalClient, there: LocalClient, model: OfflineServer
) -> None:
    session = here.new_session()
    here.say(session, "[say an old story]")
    with here.run(session, "[words 20][hold 5]") as stream:
        stream.until("agent_choice")
        with there.follow(session, begin="run") as reader:
            reader.until("agent_choice")
            model.release()
            stream.rest()
            reader.until("stream_stopped")
    assert numbered(bytes(reader.raw)) == numbered(bytes(stream.raw))


def test_a_reader_of_another_process_sees_a_failure(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    with there.follow(session, since=0) as reader:
        here.say(session, "[fail 400]")
        reader.until("error")
        reader.until("stream_stopped")
    assert reader.types.count("stream_stopped") == 1


def test_a_slow_reader_of_a_run_sees_nothing_of_the_next_one(local: LocalClient, server: Server) -> None:
    session = local.new_session()
    slow = local.run(session, "[say one]")
    eventually(lambda: server.runtime.runs.find(session) is None, "the run has ended")
    local.say(session, "[say two]")
    with slow:
        assert text_of(slow.rest()) == "one"
    assert slow.types.count("stream_stopped") == 1
    assert slow.types[-1] == "stream_stopped"


@pytest.fixture
def tiny_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are in the store do not stay in memory."""
    monkeypatch.setattr(recent_events, "KEEP_EVENTS", 10)


@pytest.mark.usefixtures("tiny_buffer")
def test_f38_slow_and_dead_readers_among_many_cost_the_run_nothing_and_the_slow_miss_nothing(
    local: LocalClient, server: Server
) -> None:
    session = local.new_session()
    with local.run(session, "[words 400][pace 800]") as stream:
        stream.until("stream_started")
        dead = [local.follow(session) for _ in range(5)]
        slow = [local.follow(session) for _ in range(3)]
        for reader in dead:
            reader.until("agent_choice")
            reader.response.close()
        events = stream.rest()
    assert events[-1]["type"] == "stream_stopped"
    for reader in slow:
        reader.until("stream_stopped")
        assert numbered(bytes(reader.raw)) == numbered(bytes(stream.raw))
        reader.response.close()
    assert server.runtime.logs.find(session) is None


@pytest.mark.usefixtures("tiny_buffer")
def test_f38_a_reader_that_slept_through_a_failure_still_learns_of_it(local: LocalClient) -> None:
    session = local.new_session()
    with local.follow(session) as reader, local.run(session, "[words 100][error api_error 80]") as stream:
        stream.rest()
        reader.until("error")
        reader.until("stream_stopped")


def gap_of(stream: LocalStream) -> dict[str, Any]:
    first = next(iter(stream))
    assert first["type"] == "gap"
    return first


def test_a_cursor_that_is_too_old_gets_a_gap_that_says_where_to_look(
    local: LocalClient, server: Server
) -> None:
    session = local.new_session()
    for word in ("one", "two"):
        with local.run(session, f"[say {word}]") as stream:
            stream.rest()
        first, last = stream.ids[0], stream.ids[-1]
    server.store.events.prune(older_than_seconds=3600, keep_events=last - first + 1)
    with local.follow(session, since=1) as reader:
        gap = gap_of(reader)
        assert reader.ids == []
        reader.until("stream_stopped")
    assert gap["first_available"] == first
    assert reader.ids == list(range(first, last + 1))
    assert local.call("GET", gap["snapshot"])["id"] == session


def test_when_nothing_old_is_left_there_is_one_gap_and_then_what_comes_next(
    local: LocalClient, server: Server
) -> None:
    session = local.new_session()
    local.say(session, "[say one]")
    server.store.events.prune(older_than_seconds=-1, keep_events=10_000)
    with local.follow(session, since=1) as reader:
        local.say(session, "[say two]")
        gap = gap_of(reader)
        reader.until("stream_stopped")
    assert reader.types.count("gap") == 1
    assert gap["first_available"] == reader.ids[0]
    assert text_of(reader.events) == "two"


def test_a_cursor_that_was_never_given_gets_a_gap_and_then_what_comes_next(local: LocalClient) -> None:
    session = local.new_session()
    local.say(session, "[say one]")
    with local.follow(session, since=100_000) as reader:
        gap = gap_of(reader)
        local.say(session, "[say two]")
        reader.until("stream_stopped")
    assert gap["first_available"] == reader.ids[0]
    assert text_of(reader.events) == "two"


def test_a_script_can_start_a_run_without_holding_a_connection(local: LocalClient) -> None:
    session = local.new_session()
    response = local.try_run(session, "[say hello]", query="?stream=false")
    assert response.status_code == 202
    run = response.get_json()["run"]
    assert response.headers["Location"] == f"/api/runs/{run['id']}"
    with local.follow(session, since=0) as reader:
        reader.until("stream_stopped")
    assert text_of(reader.events) == "hello"
    assert local.call("GET", response.headers["Location"])["status"] == "finished"
