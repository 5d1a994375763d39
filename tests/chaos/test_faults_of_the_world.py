"""The database is locked, full or gone for a while; the model fails in every manner. Requests are refused with a
code, runs wait or end within a bound, nothing is half-written, and service comes back by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import make_url

from anthropic_standin.standin_server import OfflineServer
from app.agent.anthropic import anthropic_model
from app.factory import Server, build
from app.runtime import patience
from app.store import brake_store, drivers
from tests.chaos.invariants import broken_promises
from tests.conftest import make_settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient, LocalStream
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually

BuildServer = Callable[..., Server]


@pytest.fixture
def build_server(
    tmp_path: Path, model: OfflineServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BuildServer]:
    """With little patience, so that its end can be seen."""
    monkeypatch.setattr(drivers, "BUSY_SECONDS", 0.2)
    built: list[Server] = []

    def start(**settings: object) -> Server:
        built.append(build(make_settings(tmp_path, model.url, **settings)))
        return built[-1]

    yield start
    for server in built:
        server.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    one = Gate(tmp_path)
    yield one
    one.close()


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Somebody else writes to the database and does not come to an end."""
    path = str(make_url(server.settings.database_url).database)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def refused(client: LocalClient, session: str) -> None:
    body = [{"role": "user", "content": "nobody will hear this"}]
    answer = client.call("POST", f"/api/sessions/{session}/agent/tools", body, expect=503)
    assert answer["code"] == "store_unavailable"


def works(server: Server, client: LocalClient, session: str) -> None:
    events = client.say(session, "[say all is well]", agent="tools")
    client.wait_until_free(session)
    assert [event for event in events if event["type"] == "error"] == []
    assert "nobody will hear this" not in str(client.session(session))
    assert broken_promises(server.store) == []


def a_run_outlives_it(server: Server, gate: Gate, fault: Callable[[], AbstractContextManager[None]]) -> None:
    """The fault begins while a tool runs and ends after the tool: the result waits for the database."""
    client = LocalClient(server)
    busy, idle = client.new_session(tools_approved=True), client.new_session()
    with client.run(busy, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        with fault():
            refused(client, idle)
            gate.open()
            refused(client, idle)
        events = stream.rest()
    assert [event["type"] for event in events if event["type"] == "error"] == []
    assert [event["response"] for event in events if event["type"] == "tool_call_response"] == [
        "the gate was opened"
    ]
    works(server, client, busy)
    works(server, client, idle)


def test_a_run_waits_while_somebody_else_has_locked_sqlite(build_server: BuildServer, gate: Gate) -> None:
    server = build_server()
    a_run_outlives_it(server, gate, lambda: locked(server))


@pytest.mark.postgres
def test_a_run_waits_while_postgresql_is_restarted(
    build_server: BuildServer, gate: Gate, postgres: PostgresServer
) -> None:
    server = build_server(database_url=postgres.new_database())
    a_run_outlives_it(server, gate, lambda: stopped(postgres))


def test_a_run_that_has_waited_too_long_fails_and_its_session_is_free_again(
    build_server: BuildServer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)
    server = build_server(lease_seconds=3.0)
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    with client.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        with locked(server):
            gate.open()
            events = stream.rest()
    assert [event["type"] for event in events[-2:]] == ["error", "stream_stopped"]
    assert events[-2]["code"] == "store_unavailable"
    eventually(lambda: free(client, session), "its lease has run out", seconds=20)
    [call] = server.store.journal.ledger(session).values()
    assert call.state == "unknown"
    works(server, client, session)


def free(client: LocalClient, session: str) -> bool:
    """Whether a message is let in."""
    response = client.try_run(session, "[say hello]", agent="tools")
    if response.status_code != 200:
        assert response.status_code == 409
        return False
    with LocalStream(response) as stream:
        stream.rest()
    client.wait_until_free(session)
    return True


def test_a_full_disk_is_a_refusal_and_is_forgotten_when_there_is_room(build_server: BuildServer) -> None:
    server = build_server()
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    works(server, client, session)
    with server.store.database.writing() as connection:  # there is one connection that writes
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    long = "nobody will hear this " * 2000
    body = [{"role": "user", "content": long}]
    answer = client.call("POST", f"/api/sessions/{session}/agent/tools", body, expect=503)
    assert answer["code"] == "store_unavailable"
    assert "run" not in client.session(session)
    with server.store.database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    works(server, client, session)


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        ("[fail 429 1 retry-after 0.1]", ""),
        ("[fail 529 2]", ""),
        ("[fail 500 1]", ""),
        ("[hang-up 1]", ""),
        ("[fail 529]", "model_failed"),
        ("[fail 500]", "model_failed"),
        ("[fail 401]", "model_failed"),
        ("[hang-up]", "model_failed"),
        ("[words 20][drop 5]", "model_failed"),
        ("[words 20][stall 5]", "model_failed"),
        ("[words 20][error overloaded_error 5]", "model_failed"),
        ("[words 20][malformed]", "model_failed"),
        ("[words 20][nostop]", "model_failed"),
    ],
)
def test_what_the_model_does_wrong_ends_the_run_or_is_tried_again(
    build_server: BuildServer, monkeypatch: pytest.MonkeyPatch, script: str, ends: str
) -> None:
    stall = 0.3 if "[stall" in script else 30.0
    impatient = partial(anthropic_model.AnthropicModel, stall_timeout=stall, first_byte_timeout=30.0)
    monkeypatch.setattr(anthropic_model, "AnthropicModel", impatient)
    monkeypatch.setattr(brake_store, "FIRST_SECONDS", 0.02)
    server = build_server()
    client = LocalClient(server)
    session = client.new_session(tools_approved=True)
    events = client.say(session, script, agent="tools")
    client.wait_until_free(session)
    codes = [event.get("run_code", event["code"]) for event in events if event["type"] == "error"]
    assert codes == ([ends] if ends else [])
    assert events[-1]["type"] == "stream_stopped"
    assert "run" not in client.session(session)
    assert broken_promises(server.store) == []
    assert free(client, session)
