"""The queue of work of a self-hosted environment, through the official SDK: what its workers get and lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types.beta.environments import BetaHeartbeatPreconditionFailedError, BetaSelfHostedWork
from sqlalchemy import update

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.run_answers import RunAnswers
from app.managed.work import WorkEnds
from app.store.managed_tables import work_items
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, WEATHER
from tests.managed.self_hosted import BASH, READ, RESULT, environment_of, new_session, result
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import ASK, TOOLSET, confirm, events, waiting
from tests.managed.work_story import token_of


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, database_url=database_url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def taken(sdk: Sdk, environment: str) -> BetaSelfHostedWork:
    """An item that a worker has acknowledged."""
    found = sdk.beta.environments.work.poll(environment)
    assert found is not None
    sdk.checked(found)
    acknowledged = sdk.checked(sdk.beta.environments.work.ack(found.id, environment_id=environment))
    assert (acknowledged.state, acknowledged.secret) == ("starting", None)
    return found


def lapse(server: Server, item: str) -> None:
    """The lease runs out."""
    with server.store.database.writing() as connection:
        values = {"lease_expires_at": 1.0}
        connection.execute(update(work_items).where(work_items.c.id == item).values(values))


def settle(server: Server) -> None:
    WorkEnds(server.store, RunAnswers(server.store, server.control)).settle()


def items(sdk: Sdk, environment: str) -> list[Any]:
    return list(sdk.beta.environments.work.list(environment))


def test_a_worker_takes_a_session_from_the_queue_to_its_end(server: Server, sdk: Sdk) -> None:
    environment, work = environment_of(sdk), sdk.beta.environments.work
    assert work.poll(environment) is None
    assert sdk.sent is None
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    (use,) = waiting(sdk, session)
    (queued,) = items(sdk, environment)
    assert (queued.state, queued.data.id, queued.secret) == ("queued", session, None)
    stats = sdk.checked(work.stats(environment))
    assert (stats.depth, stats.pending, stats.oldest_queued_at) == (1, 0, queued.created_at)
    item = taken(sdk, environment)
    assert item.id == queued.id
    assert work.poll(environment, reclaim_older_than_ms=1, block_ms=1) is None
    first = sdk.checked(
        work.heartbeat(item.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT")
    )
    assert (first.state, first.lease_extended, first.ttl_seconds) == ("active", True, 60)
    next_one = work.heartbeat(
        item.id,
        environment_id=environment,
        expected_last_heartbeat=first.last_heartbeat,
        desired_ttl_seconds=120,
    )
    assert (next_one.lease_extended, next_one.ttl_seconds) == (True, 120)
    with Sdk(server, token_of(item)) as worker:
        assert worker.checked(worker.beta.sessions.retrieve(session)).id == session
        assert use in [event.id for event in worker.beta.sessions.events.list(session)]
        worker.checked(worker.beta.sessions.events.send(session, events=[result(use)]))
        until_idle(sdk, session, times=2)
        stopped = worker.checked(
            worker.beta.environments.work.stop(item.id, environment_id=environment, force=True)
        )
        assert stopped.state == "stopped"
        with pytest.raises(anthropic.AuthenticationError):
            worker.beta.sessions.retrieve(session)
    with pytest.raises(anthropic.ConflictError):
        work.stop(item.id, environment_id=environment)
    late = work.heartbeat(item.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT")
    assert (late.state, late.lease_extended) == ("stopped", False)
    assert "session.error" not in [event.type for event in sdk.beta.sessions.events.list(session)]
    assert work.poll(environment) is None
    sdk.beta.sessions.events.send(session, events=[say(f"{BASH}[then][say Done.]")])
    waiting(sdk, session, times=3)
    assert [one.state for one in items(sdk, environment)] == ["queued", "stopped"]
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])


def test_a_session_without_calls_is_no_work(sdk: Sdk) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, environment=environment)
    assert items(sdk, environment) == []
    sdk.beta.sessions.events.send(session, events=[say("[say Hello.]")])
    until_idle(sdk, session)
    assert items(sdk, environment) == []
    asked = new_session(sdk, environment=environment, default_config={"permission_policy": ASK})
    sdk.beta.sessions.events.send(asked, events=[say(f"{BASH}[then][say Done.]")])
    (use,) = waiting(sdk, asked)
    assert items(sdk, environment) == []
    sdk.beta.sessions.events.send(asked, events=[confirm(use)])
    waiting(sdk, asked, times=2)
    assert [one.data.id for one in items(sdk, environment)] == [asked]
    sdk.beta.sessions.events.send(asked, events=[{"type": "user.interrupt"}])


@pytest.mark.parametrize("looked", [True, False])
def test_a_lost_worker_answers_nothing_and_what_it_may_have_begun_is_unknown(
    server: Server, sdk: Sdk, model: OfflineServer, looked: bool
) -> None:
    environment, work = environment_of(sdk), sdk.beta.environments.work
    tools: Any = [{"type": TOOLSET, "configs": [{"name": "read", "permission_policy": ASK}]}, WEATHER]
    session = new_session(sdk, f"{BASH}{READ}{CALL}[then][say Done.]", environment=environment, tools=tools)
    bash, read, custom = waiting(sdk, session)
    item = taken(sdk, environment)
    with Sdk(server, token_of(item)) as paused:
        beat = paused.beta.environments.work.heartbeat(
            item.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT"
        )
        if looked:
            list(paused.beta.sessions.events.list(session))
        lapse(server, item.id)
        for late in (
            lambda: paused.beta.sessions.events.send(session, events=[result(bash)]),
            lambda: paused.beta.sessions.events.list(session),
            lambda: paused.beta.sessions.retrieve(session),
        ):
            with pytest.raises(anthropic.AuthenticationError):
                late()
        again = work.poll(environment)
        assert again is not None
        assert again.id == item.id
        assert (again.state, again.acknowledged_at, again.latest_heartbeat_at) == ("queued", None, None)
        with pytest.raises(BetaHeartbeatPreconditionFailedError) as lost:
            paused.beta.environments.work.heartbeat(
                item.id, environment_id=environment, expected_last_heartbeat=beat.last_heartbeat
            )
        assert lost.value.details.current_state.state == "queued"
        with pytest.raises(anthropic.ConflictError):
            paused.beta.environments.work.stop(item.id, environment_id=environment, force=True)
        with pytest.raises(anthropic.ConflictError):
            paused.beta.environments.work.ack(item.id, environment_id=environment)
    given = events(sdk, session, RESULT)
    assert [one.tool_use_id for one in given] == ([bash] if looked else [])
    (error,) = events(sdk, session, "session.error")
    assert item.id in error.error.message
    assert error.error.retry_status.type == "retrying"
    sdk.beta.environments.work.ack(item.id, environment_id=environment)
    with Sdk(server, token_of(again)) as worker:
        answer: Any = worker.beta.sessions.events.send(session, events=[result(bash, "late")])
        text = answer.data[0].content[0].text
        assert text.startswith("The outcome of this call is unknown") if looked else text == "late"
    assert read in waiting(sdk, session)
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session, times=2)
    assert custom


def test_a_lost_workers_session_goes_on_without_anybody_who_asks_for_work(
    server: Server, sdk: Sdk, model: OfflineServer
) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    item = taken(sdk, environment)
    with Sdk(server, token_of(item)) as worker:
        list(worker.beta.sessions.events.list(session))
    lapse(server, item.id)
    settle(server)
    until_idle(sdk, session, times=2)
    told = model.requests[-1]["messages"][-1]["content"][0]
    assert told["is_error"]
    assert told["content"].startswith("The outcome of this call is unknown: the worker")
    assert [one.state for one in items(sdk, environment)] == ["queued"]


def test_workers_that_give_up_before_they_look_are_three_at_most(
    server: Server, sdk: Sdk, model: OfflineServer
) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    for _ in range(3):
        item = taken(sdk, environment)
        with Sdk(server, token_of(item)) as worker:
            worker.beta.environments.work.stop(item.id, environment_id=environment, force=True)
    until_idle(sdk, session, times=2)
    assert model.requests[-1]["messages"][-1]["content"][0]["content"].startswith("This call was not made")
    errors = [one.error.retry_status.type for one in events(sdk, session, "session.error")]
    assert errors == ["retrying", "retrying", "exhausted"]
    assert {one.state for one in items(sdk, environment)} == {"stopped"}


def test_a_worker_that_stops_without_results_leaves_calls_of_unknown_outcome(
    server: Server, sdk: Sdk, model: OfflineServer
) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    item = taken(sdk, environment)
    asked = sdk.beta.environments.work.stop(item.id, environment_id=environment)
    assert (asked.state, asked.stopped_at) == ("stopping", None)
    with Sdk(server, token_of(item)) as worker:
        list(worker.beta.sessions.events.list(session))
        beat = worker.beta.environments.work.heartbeat(
            item.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT"
        )
        assert (beat.state, beat.lease_extended) == ("stopping", True)
        worker.beta.environments.work.stop(item.id, environment_id=environment, force=True)
    until_idle(sdk, session, times=2)
    assert (
        "its work was stopped before there was a result"
        in model.requests[-1]["messages"][-1]["content"][0]["content"]
    )
    assert len(events(sdk, session, "session.error")) == 1


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_call_that_a_worker_was_not_shown_waits_for_the_next_one(
    server: Server, sdk: Sdk, is_lost: bool
) -> None:
    environment = environment_of(sdk)
    session = new_session(sdk, f"{BASH}[then]{READ}[then][say Done.]", environment=environment)
    (first,) = waiting(sdk, session)
    item = taken(sdk, environment)
    with Sdk(server, token_of(item)) as worker:
        list(worker.beta.sessions.events.list(session))
        worker.beta.sessions.events.send(session, events=[result(first)])
        (second,) = waiting(sdk, session, times=2)
        if is_lost:
            lapse(server, item.id)
        else:
            worker.beta.environments.work.stop(item.id, environment_id=environment, force=True)
    settle(server)
    assert [one.state for one in items(sdk, environment)] == (
        ["queued"] if is_lost else ["queued", "stopped"]
    )
    assert events(sdk, session, "session.error") == []
    assert waiting(sdk, session, times=2) == [second]
    with Sdk(server, token_of(taken(sdk, environment))) as worker:
        assert second in [one.id for one in worker.beta.sessions.events.list(session)]
        worker.beta.sessions.events.send(session, events=[result(second)])
    until_idle(sdk, session, times=3)


def test_an_item_that_nobody_acknowledges_is_handed_out_again(server: Server, sdk: Sdk) -> None:
    environment, work = environment_of(sdk), sdk.beta.environments.work
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    first = work.poll(environment, anthropic_worker_id="one", block_ms=999)
    assert work.poll(environment, anthropic_worker_id="two") is None
    assert work.poll(environment, anthropic_worker_id="two", reclaim_older_than_ms=60_000) is None
    stats = work.stats(environment)
    assert (stats.depth, stats.pending, stats.workers_polling) == (0, 1, 2)
    second = work.poll(environment, anthropic_worker_id="two", reclaim_older_than_ms=0)
    assert first is not None
    assert second is not None
    assert second.id == first.id
    with Sdk(server, token_of(first)) as early:
        with pytest.raises(anthropic.ConflictError):
            early.beta.environments.work.ack(first.id, environment_id=environment)
        with pytest.raises(anthropic.AuthenticationError):
            early.beta.sessions.retrieve(session)
    with Sdk(server, token_of(second)) as worker:
        with pytest.raises(anthropic.AuthenticationError):
            worker.beta.sessions.retrieve(session)
        for _ in range(2):  # an answer was lost
            worker.beta.environments.work.ack(second.id, environment_id=environment)
        worker.beta.environments.work.heartbeat(
            second.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT"
        )
        with pytest.raises(anthropic.ConflictError):
            worker.beta.environments.work.ack(second.id, environment_id=environment)
        with pytest.raises(BetaHeartbeatPreconditionFailedError):
            worker.beta.environments.work.heartbeat(
                second.id, environment_id=environment, expected_last_heartbeat="NO_HEARTBEAT"
            )
    sdk.beta.sessions.archive(session)
    assert work.retrieve(second.id, environment_id=environment).state == "stopping"


def test_metadata_and_pages_of_items(sdk: Sdk) -> None:
    environment, work = environment_of(sdk), sdk.beta.environments.work
    sessions = [new_session(sdk, f"{BASH}[then][say x]", environment=environment) for _ in range(3)]
    for session in sessions:
        waiting(sdk, session)
    listed = items(sdk, environment)
    assert [one.data.id for one in listed] == sessions[::-1]
    assert [one.id for one in work.list(environment, limit=1)] == [one.id for one in listed]
    changed = sdk.checked(
        work.update(listed[0].id, environment_id=environment, metadata={"a": "1", "b": "2"})
    )
    assert changed.metadata == {"a": "1", "b": "2"}
    changed = work.update(listed[0].id, environment_id=environment, metadata={"a": None})
    assert work.retrieve(listed[0].id, environment_id=environment).metadata == changed.metadata == {"b": "2"}
    stopped = work.stop(listed[0].id, environment_id=environment)
    assert stopped.state == "stopped"
    until_idle(sdk, sessions[-1], times=2)
    for session in sessions:
        sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
        eventually(lambda: sdk.beta.sessions.retrieve(session).status == "idle", "it is idle")  # noqa: B023
    sdk.beta.sessions.delete(sessions[0])
    assert [one.data.id for one in items(sdk, environment)] == sessions[:0:-1]


def test_what_is_no_request_for_work_is_refused(sdk: Sdk) -> None:
    environment, work = environment_of(sdk), sdk.beta.environments.work
    session = new_session(sdk, f"{BASH}[then][say Done.]", environment=environment)
    waiting(sdk, session)
    (item,) = items(sdk, environment)
    other, cloud = environment_of(sdk), sdk.beta.environments.create(name="here").id
    raw = Raw(sdk)
    path = f"/v1/environments/{environment}/work"
    refused: list[tuple[Callable[[], Any], int]] = [
        *[(lambda q=q: raw.get(f"{path}/poll?block_ms={q}"), 400) for q in ("0", "1000", "-1", "x", "1.5")],
        *[(lambda q=q: raw.get(f"{path}/poll?reclaim_older_than_ms={q}"), 400) for q in ("-1", "x", "9" * 12)],
        *[(lambda q=q: raw.get(f"{path}?limit={q}"), 400) for q in ("0", "101", "x")],
        (lambda: raw.get(f"{path}?page=page_x"), 400),
        (lambda: raw.get(f"{path}/work_x"), 400),
        (lambda: raw.get(f"/v1/environments/{cloud}/work"), 400),
        (lambda: raw.get("/v1/environments/env_x/work/poll"), 400),
        (lambda: raw.get(f"/v1/environments/{other}/work/{item.id}"), 404),
        (lambda: raw.get(f"/v1/environments/{environment[:-1]}{'2' if environment[-1] != '2' else '3'}/work"), 404),
        (lambda: raw.post(f"{path}/{item.id}", {}), 400),
        (lambda: raw.post(f"{path}/{item.id}", {"metadata": {"a": 1}}), 400),
        (lambda: raw.post(f"{path}/{item.id}", {"metadata": {"a" * 65: "1"}}), 400),
        (lambda: raw.post(f"{path}/{item.id}", {"metadata": {str(n): "1" for n in range(17)}}), 400),
        (lambda: raw.post(f"{path}/{item.id}", {"metadata": None}), 400),
        (lambda: raw.post(f"{path}/{item.id}/stop", {"force": "yes"}), 400),
        (lambda: raw.post(f"{path}/{item.id}/stop", {"now": True}), 400),
        (lambda: raw.post(f"{path}/{item.id}/ack", {}), 409),
        (lambda: raw.post(f"{path}/{item.id}/heartbeat?desired_ttl_seconds=0", {}), 400),
        (lambda: raw.post(f"{path}/{item.id}/heartbeat?desired_ttl_seconds=301", {}), 400),
        (lambda: raw.post(f"{path}/{item.id}/heartbeat", {}), 412),
        (lambda: raw.post(f"/v1/environments/{other}/work/{item.id}/heartbeat", {}), 404),
    ]  # fmt: skip
    for ask, status in refused:
        assert ask() == status, sdk.sent
        assert sdk.sent["type"] == "error"
    assert work.retrieve(item.id, environment_id=environment).state == "queued"
    sdk.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])


class Raw:
    """Plain requests, whose status is told."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    def get(self, path: str) -> int:
        return self._status(lambda: self._sdk.get(path, cast_to=object, options=_BETA))

    def post(self, path: str, body: Any) -> int:
        return self._status(lambda: self._sdk.post(path, cast_to=object, body=body, options=_BETA))

    def _status(self, ask: Callable[[], object]) -> int:
        try:
            ask()
        except anthropic.APIStatusError as error:
            return error.status_code
        return 200


_BETA: Any = {"headers": {"anthropic-beta": "managed-agents-2026-04-01"}}
