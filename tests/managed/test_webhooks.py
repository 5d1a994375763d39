"""Webhooks: told of what happens, signed so that the official SDK accepts it, at least once, and never for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from anthropic.types.beta import BetaWebhookEvent
from sqlalchemy import func, select, update
from standardwebhooks import WebhookVerificationError

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.runtime import webhooks
from app.runtime.webhooks import LONGEST_PAUSE, pause_after
from app.store.engine import Database
from app.store.managed_tables import disabled_webhooks, webhook_deliveries
from tests.conftest import StartBaton, held_by, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.sqlite import sqlite_in
from tests.managed.conftest import VAULT_KEY, Sdk
from tests.managed.receiver import SECRET, Receiver, receiving
from tests.managed.sdk_shapes import complaints
from tests.managed.test_sessions import say, until_idle
from tests.managed.test_vaults import bearer
from tests.managed.toolset_calls import ASK, call, confirm, started, waiting

MakeServer = Callable[..., Server]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 0.01)


@pytest.fixture
def make(tmp_path: Path, model: OfflineServer, database_url: str, receiver: Receiver) -> Iterator[MakeServer]:
    """Makes servers on one database, once with each kind of it, that tell the receiver."""
    built: list[Server] = []

    def server(**more: Any) -> Server:
        endpoint = {"webhook_url": receiver.url, "webhook_secret": SECRET, "webhook_private": True}
        settings = make_settings(tmp_path, model.url, database_url=database_url, **{**endpoint, **more})
        built.append(build(settings))
        return built[-1]

    yield server
    for one in built:
        eventually(lambda one=one: not held_by(one), "all was given back")
        one.close()


def left(server: Server) -> int:
    """How many events are still to be told."""
    with server.store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(webhook_deliveries)).scalar_one())


def disabled(server: Server) -> int:
    """How many endpoints are disabled."""
    with server.store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(disabled_webhooks)).scalar_one())


@contextmanager
def sdk_of(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def test_everything_that_happens_to_a_session_is_told(make: MakeServer, receiver: Receiver) -> None:
    server = make()
    with sdk_of(server) as sdk:
        said = call("bash", command="echo ran") + "[then][say Done.]"
        session = started(sdk, said, default_config={"permission_policy": ASK})
        (use,) = waiting(sdk, session.id)
        sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
        until_idle(sdk, session.id, times=2)
        sdk.beta.sessions.update(session.id, title="New")
        sdk.beta.sessions.update(session.id, title="New")  # which changes nothing
        sdk.beta.sessions.archive(session.id)
        sdk.beta.sessions.archive(session.id)
        sdk.beta.sessions.delete(session.id)
        agent, environment = session.agent.id, session.environment_id
        sdk.beta.agents.update(agent, version=1, name="Other")
        sdk.beta.agents.archive(agent)
        sdk.beta.environments.update(environment, name="there")
        sdk.beta.environments.archive(environment)
        sdk.beta.environments.delete(environment)
    eventually(lambda: not left(server), "all is told")
    events = [one.unwrapped() for one in receiver.requests]
    assert len({event.id for event in events}) == len(events)
    assert [event.data.type for event in events] == [
        "agent.created",
        "environment.created",
        "session.created",
        "session.status_run_started",
        "session.status_idled",
        "session.status_run_started",
        "session.status_idled",
        "session.updated",
        "session.archived",
        "session.deleted",
        "agent.updated",
        "agent.archived",
        "environment.updated",
        "environment.archived",
        "environment.deleted",
    ]
    objects = {"agent": agent, "environment": environment, "session": session.id}
    for event, received in zip(events, receiver.requests, strict=True):
        assert event.data.id == objects[event.data.type.partition(".")[0]]
        assert list(complaints(json.loads(received.body), BetaWebhookEvent)) == []
        assert received.headers["content-type"] == "application/json"
        assert received.headers["webhook-id"] == event.id


def test_what_happens_to_vaults_and_memory_stores_is_told(make: MakeServer, receiver: Receiver) -> None:
    server = make(vault_keys=(VAULT_KEY,))
    with sdk_of(server) as sdk:
        store = sdk.beta.memory_stores.create(name="Notes").id
        sdk.beta.memory_stores.update(store, name="More notes")
        sdk.beta.memory_stores.archive(store)
        sdk.beta.memory_stores.archive(store)
        sdk.beta.memory_stores.delete(store)
        vault = sdk.beta.vaults.create(display_name="Ann's").id
        credential = sdk.beta.vaults.credentials.create(vault, auth=bearer()).id
        sdk.beta.vaults.credentials.archive(credential, vault_id=vault)
        sdk.beta.vaults.credentials.archive(credential, vault_id=vault)
        sdk.beta.vaults.credentials.delete(credential, vault_id=vault)
        sdk.beta.vaults.archive(vault)
        sdk.beta.vaults.archive(vault)
        sdk.beta.vaults.delete(vault)
    eventually(lambda: not left(server), "all is told")
    events = [one.unwrapped() for one in receiver.requests]
    assert [(event.data.type, event.data.id) for event in events] == [
        ("memory_store.created", store),
        ("memory_store.archived", store),
        ("memory_store.deleted", store),
        ("vault.created", vault),
        ("vault_credential.created", credential),
        ("vault_credential.archived", credential),
        ("vault_credential.deleted", credential),
        ("vault.archived", vault),
        ("vault.deleted", vault),
    ]
    for received in receiver.requests:
        assert list(complaints(json.loads(received.body), BetaWebhookEvent)) == []


def test_a_change_during_a_run_is_told_once(make: MakeServer, receiver: Receiver) -> None:
    """Its event gets its place later, at the run's next safe point."""
    server = make()
    with sdk_of(server) as sdk:
        session = started(
            sdk, call("glob", pattern="*") + "[then][say x]", default_config={"permission_policy": ASK}
        )
        (use,) = waiting(sdk, session.id)
        sdk.beta.sessions.update(session.id, title="New")
        sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
        until_idle(sdk, session.id, times=2)
    eventually(lambda: not left(server), "all is told")
    told = [one.unwrapped().data.type for one in receiver.requests]
    assert told.count("session.updated") == 1


def test_another_key_or_body_is_not_accepted(make: MakeServer, receiver: Receiver) -> None:
    with sdk_of(make()) as sdk:
        sdk.beta.environments.create(name="here")
    eventually(lambda: len(receiver.requests) == 1, "it is told")
    (received,) = receiver.requests
    with pytest.raises(WebhookVerificationError):
        received.unwrapped("whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLi4=")
    changed = received.body.replace("environment.created", "environment.deleted")
    with pytest.raises(WebhookVerificationError), Anthropic(api_key="x") as client:
        client.beta.webhooks.unwrap(changed, headers=received.headers, key=SECRET)


@pytest.mark.parametrize("status", [404, 503])
def test_what_was_not_taken_is_told_again_under_the_same_id(
    make: MakeServer, receiver: Receiver, status: int
) -> None:
    receiver.statuses += [status, status]
    server = make()
    with sdk_of(server) as sdk:
        sdk.beta.environments.create(name="here")
    eventually(lambda: not left(server), "it is told")
    assert [one.body for one in receiver.requests] == [receiver.requests[0].body] * 3
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1


def test_pauses_grow_up_to_an_hour() -> None:
    pauses = [pause_after(attempts) for attempts in range(1000)]
    assert pauses[1] == 2 * pauses[0]
    assert pauses[-1] == LONGEST_PAUSE


def test_an_event_is_given_up_after_a_day(
    make: MakeServer, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses += [500] * 1000
    server = make()
    with sdk_of(server) as sdk:
        sdk.beta.environments.create(name="here")
    eventually(lambda: len(receiver.requests) > 1, "it was tried again")
    with server.store.database.writing() as connection:
        old = webhook_deliveries.c.created_at - 86_400
        connection.execute(update(webhook_deliveries).values(created_at=old))
    eventually(lambda: not left(server), "it was given up")
    assert "is given up: it answered 500" in caplog.text
    assert b'baton_webhook_deliveries_total{outcome="given_up"} 1.0' in server.telemetry.metrics.render()[0]


@pytest.mark.parametrize("status", [301, 308])
def test_a_redirect_disables_the_endpoint_for_all_processes(
    make: MakeServer, receiver: Receiver, status: int
) -> None:
    receiver.statuses += [status]
    first, second = make(), make()
    with sdk_of(first) as sdk:
        sdk.beta.environments.create(name="here")
        eventually(
            lambda: not first.store.database.announces and not second.store.database.announces, "both know"
        )
        eventually(lambda: not left(first), "nothing waits any more")
        sdk.beta.environments.create(name="there")
        assert (left(first), len(receiver.requests)) == (0, 1)
        first.store.deliveries.disable("one of former settings")
        first.store.deliveries.disable(hashlib.sha256(receiver.url.encode()).hexdigest())
        assert disabled(first) == 1
        third = make()
        eventually(lambda: first.store.database.announces, "a new start enables it")
        sdk.beta.environments.create(name="elsewhere")
        eventually(lambda: len(receiver.requests) == 2 and not left(third), "it is told")


def test_private_addresses_are_not_reached_unless_that_is_wanted(
    make: MakeServer, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    server = make(webhook_private=False)
    with sdk_of(server) as sdk:
        sdk.beta.environments.create(name="here")
    eventually(lambda: "127.0.0.1 is not a public address" in caplog.text, "it was refused")
    assert receiver.requests == []


def test_without_an_endpoint_nothing_is_written(make: MakeServer, receiver: Receiver) -> None:
    server = make(webhook_url="", webhook_secret="")
    with sdk_of(server) as sdk:
        session = started(sdk, "[say Hello.]")
        until_idle(sdk, session.id)
        sdk.beta.sessions.delete(session.id)
    assert (left(server), receiver.requests, server.webhooks) == (0, [], None)


def test_what_the_other_door_does_is_not_told(make: MakeServer) -> None:
    server = make()
    client = LocalClient(server)
    session = client.new_session()
    assert server.app.test_client().delete(f"/api/sessions/{session}").status_code == 200
    assert left(server) == 0


def test_an_endpoint_that_hangs_does_not_hold_up_the_end_of_a_server(
    make: MakeServer, receiver: Receiver
) -> None:
    receiver.gate.clear()
    server = make()
    with sdk_of(server) as sdk:
        sdk.beta.environments.create(name="here")
    eventually(lambda: len(receiver.requests) == 1, "it is being told")
    server.webhooks.stop()  # type: ignore[union-attr]
    assert not receiver.gate.is_set()
    assert left(server) == 1


def test_what_is_committed_is_told_although_the_server_is_killed(
    start_baton: StartBaton, receiver: Receiver, tmp_path: Path
) -> None:
    """It is killed while the first event is being told, so that the others are committed, and no more."""
    settings = {
        "BATON_WEBHOOK_URL": receiver.url,
        "BATON_WEBHOOK_SECRET": SECRET,
        "BATON_WEBHOOK_PRIVATE": "on",
    }
    receiver.gate.clear()
    first = start_baton(settings=settings)
    with Anthropic(base_url=first.url, api_key="x", max_retries=0) as client:
        agent = client.beta.agents.create(name="Plain", model="claude-sonnet-5-5").id
        eventually(lambda: len(receiver.requests) == 1, "it is being told")
        environment = client.beta.environments.create(name="here").id
        session = client.beta.sessions.create(
            agent=agent, environment_id=environment, initial_events=[say("[say Hello.]")]
        ).id
        eventually(lambda: client.beta.sessions.retrieve(session).usage.output_tokens, "the run has ended")
    first.kill()
    receiver.gate.set()
    (held,) = receiver.requests
    database = Database(sqlite_in(tmp_path), connections=1)
    with database.writing() as connection:
        connection.execute(update(webhook_deliveries).values(due_at=1.0))  # its time is over
    database.close()
    start_baton(settings=settings)
    eventually(lambda: len(receiver.requests) == 6, "all is told")
    assert receiver.requests.count(held) == 1
    assert [one.headers["webhook-id"] for one in receiver.requests].count(held.headers["webhook-id"]) == 2
    assert set(receiver.told()) == {
        ("agent.created", agent),
        ("environment.created", environment),
        ("session.created", session),
        ("session.status_run_started", session),
        ("session.status_idled", session),
    }
