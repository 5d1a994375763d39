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
from bench.figures.statements import run_once, statements, statements_of_a_run
from bench.history import seed_session
from tests.conftest import make_settings
from tests.harness.commits import commits
from tests.harness.in_process import LocalClient
from tests.harness.postgres import PostgresServer
from tests.harness.round_trips import CountingProxy

RUN = 11
"""Statements of a run of one turn on SQLite, BEGIN and COMMIT not counted; and what a turn with a tool call adds."""

TURN = 12

TRIPS = 5
"""The same on PostgreSQL: statements, round trips and transactions are one there."""

TRIPS_OF_A_TURN = 4

DURABLE_COMMITS = 3
"""Of a run of one turn: its claim, its turn and its end."""

BENCH_AGENTS = Path(__file__).parents[2] / "bench" / "agents"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path_factory.mktemp("costs"), stand_in.url, agents=BENCH_AGENTS))
    yield built
    built.close()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server outlives each test here."""


def test_a_run_takes_so_many_statements_whatever_came_before_it(server: Server, model: OfflineServer) -> None:
    short, long = (statements_of_a_run(server, length, turns=1) for length in (2, 400))
    assert short == long
    assert short <= RUN


def test_a_request_for_a_new_session_s_run_reads_nothing_twice(server: Server, model: OfflineServer) -> None:
    client = LocalClient(server)
    sessions = [seed_session(server.store, 0) for _ in range(2)]
    for session in sessions:  # the first one makes what a process makes once
        with statements() as sent, client.run(session, "hello", agent="plain") as stream:
            stream.rest()
    assert len(sent) <= RUN + 3  # is the session there; its prompt; the audit trail's entry


def test_each_turn_with_a_tool_adds_so_many(server: Server, model: OfflineServer) -> None:
    one, two, five = (statements_of_a_run(server, 2, turns=turns) for turns in (1, 2, 5))
    assert two - one <= TURN
    assert five - two <= 3 * TURN


def test_so_many_commits_of_a_run_wait_for_the_disk(server: Server, model: OfflineServer) -> None:
    session = seed_session(server.store, 2)
    run_once(server, session)
    with commits() as waited:
        run_once(server, session)
        assert waited == [True] * DURABLE_COMMITS


@pytest.fixture(scope="module")
def wire(postgres: PostgresServer) -> Iterator[CountingProxy]:
    with CountingProxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def distant(
    tmp_path_factory: pytest.TempPathFactory,
    stand_in: OfflineServer,
    postgres: PostgresServer,
    wire: CountingProxy,
) -> Iterator[Server]:
    """A server without the threads whose work depends on time, whose database is behind a wire."""
    url = postgres.new_database().replace(str(postgres.port), str(wire.port))
    settings = make_settings(
        tmp_path_factory.mktemp("distant"), stand_in.url, agents=BENCH_AGENTS, database_url=url
    )
    built = build(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(built.runtime.services, "ensure_running", lambda: None)
        yield built
    built.close()


@pytest.mark.postgres
def test_a_run_and_a_turn_take_so_many_round_trips(
    distant: Server, wire: CountingProxy, model: OfflineServer
) -> None:
    session = seed_session(distant.store, 2)
    for _ in range(8):  # the driver prepares a statement that comes for the sixth time
        run_once(distant, session, turns=2)
    counted = []
    for turns in (1, 2, 5):
        wire.trips.clear()
        with statements() as sent:
            run_once(distant, session, turns=turns)
        counted.append(len(wire.trips) - 1)  # the last one is ours
        assert len(sent) == len(wire.trips)
        assert not any(b"BEGIN" in trip for trip in wire.trips)
        assert sum(not words.startswith("SELECT") for words in sent) == DURABLE_COMMITS * turns
    assert counted == [TRIPS, TRIPS + TRIPS_OF_A_TURN, TRIPS + 4 * TRIPS_OF_A_TURN]


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
        stream = CarriedStream(here, EventReader(log, logs, store.events, after=0, end=end), lambda: None)
        stream.listen(writer._marker(stream))
        for _ in range(300):
            log.publish([b"{}"], end)
        assert rung == [writer]
        writer._round()
        head, _, body = there.recv(1 << 20).partition(b"\r\n")
        assert (int(head, 16), body.count(b"id: ")) == (len(body) - 2, 300)
