"""Work that must not be done more often than this. Counts, never times: they are the same on every machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.events import Event
from app.event_encoder import EventEncoder
from app.factory import Server, build
from app.runtime.streams.event_log import EndMark, EventLog, EventLogs
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.stream_writer import CarriedStream, StreamWriter
from app.store.store import Store
from bench.figures.statements import statements_of_a_run
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

RUN = 25
"""Statements of a run of one turn, BEGIN and COMMIT not counted; and what a turn with a tool call adds to it."""

TURN = 17


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    bench_agents = Path(__file__).parents[2] / "bench" / "agents"
    built = build(make_settings(tmp_path_factory.mktemp("costs"), stand_in.url, agents=bench_agents))
    yield built
    built.close()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server outlives each test here."""


def test_a_run_takes_so_many_statements_whatever_came_before_it(server: Server, model: OfflineServer) -> None:
    short, long = (statements_of_a_run(server, length, turns=1) for length in (2, 400))
    assert short == long
    assert short <= RUN


def test_each_turn_with_a_tool_adds_so_many(server: Server, model: OfflineServer) -> None:
    one, two, five = (statements_of_a_run(server, 2, turns=turns) for turns in (1, 2, 5))
    assert two - one <= TURN
    assert five - two <= 3 * TURN


def test_an_event_is_encoded_once_however_many_read_it(
    server: Server, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = EventEncoder.encode

    def counting(encoder: EventEncoder, event: Event) -> list[bytes]:
        encoded.append(type(event).__name__)
        return encode(encoder, event)

    monkeypatch.setattr(EventEncoder, "encode", counting)
    client = LocalClient(server)
    session = client.new_session()
    readers = [client.follow(session, since=0) for _ in range(4)]
    with client.run(session, "[words 30]", agent="plain") as stream:
        events = stream.rest()
    for reader in readers:
        reader.until("stream_stopped")
        reader.response.close()
    assert encoded.count("AgentChoice") == sum(event["type"] == "agent_choice" for event in events)
    assert len(encoded) == len(events)


class Condition(threading.Condition):
    notified = 0

    def notify_all(self) -> None:
        self.notified += 1
        super().notify_all()


def test_a_writer_that_nobody_waits_for_wakes_nobody() -> None:
    log, end = EventLog("s", 1), EndMark()
    log._changed = condition = Condition(threading.Lock())
    for _ in range(1000):
        log.publish([b"{}"], end)
    assert condition.notified == 0


def test_a_burst_rings_the_writer_once_and_leaves_in_one_chunk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's thread does not run: this is what it finds after a moment elsewhere."""
    writer = StreamWriter(heartbeat=b"", heartbeat_seconds=1000.0)
    rung: list[StreamWriter] = []
    monkeypatch.setattr(writer._loop, "wake", lambda: rung.append(writer))
    logs = EventLogs()
    log, end = logs.open("s", 1), EndMark()
    here, there = socket.socketpair()
    with here, there:
        stream = CarriedStream(here, EventReader(log, logs, store.events, after=0, end=end))
        with stream.reader.listening(writer._marker(stream)):
            for _ in range(300):
                log.publish([b"{}"], end)
        assert rung == [writer]
        writer._round()
        head, _, body = there.recv(1 << 20).partition(b"\r\n")
        assert (int(head, 16), body.count(b"id: ")) == (len(body) - 2, 300)
