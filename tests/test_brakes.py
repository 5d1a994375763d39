"""One brake for all runs of all processes that use a key: when the API refuses one, the others don't ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from anthropic_standin.standin_server import OfflineServer
from app.agent.model_client import ModelError, ModelRequest, Retrying
from app.agent.retry import stream_with_retries
from app.errors import StoreUnavailable
from app.factory import Server, build
from app.runtime.braked_model import MAX_HELD_SECONDS, BrakedModel, Brakes
from app.store.brake_store import BrakeStore
from app.store.tables import brakes
from tests.agent.cancellation import FakeCancellation
from tests.agent.scripted_model import ScriptedModel, said
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import text_of

HELD = "wants to be left alone; the next call is held for "

TEAM = """
agents:
  root: {model: anthropic/claude-sonnet-5-5, instruction: i}
  other: {model: anthropic/claude-opus-5-5, instruction: i}
  careful: {model: anthropic/claude-sonnet-5-5, instruction: i, fallback: {models: [anthropic/claude-opus-5-5]}}
"""


@pytest.fixture
def servers(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[tuple[Server, Server]]:
    """Two on one database, as two processes would be."""
    (tmp_path / "team.yaml").write_text(TEAM)
    settings = make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", database_url=database_url)
    first, second = build(settings), build(settings)
    yield first, second
    first.close()
    second.close()


def test_a_refusal_holds_the_calls_of_every_process(
    servers: tuple[Server, Server], model: OfflineServer
) -> None:
    first, second = (LocalClient(server) for server in servers)
    sessions = first.new_session(), second.new_session()
    with first.run(sessions[0], "[fail 429 1 retry-after 50][say one]", agent="team") as refused:
        assert HELD in refused.until("warning")["message"]
        with second.run(sessions[1], "[say two]", agent="team") as held:
            assert HELD in held.until("warning")["message"]
            assert len(model.requests) == 1, "the API was not asked again"
            first.stop(sessions[0])
            second.stop(sessions[1])
            assert held.rest()[-1]["type"] == "stream_stopped"
        refused.rest()
    assert len(model.requests) == 1
    for client, session in zip((first, second), sessions, strict=True):
        client.wait_until_free(session)


def test_another_model_is_asked_all_the_same(servers: tuple[Server, Server]) -> None:
    first, second = (LocalClient(server) for server in servers)
    session = first.new_session()
    with first.run(session, "[fail 429 1 retry-after 50][say one]", agent="team") as refused:
        refused.until("warning")
        assert text_of(second.say(second.new_session(), "[say two]", agent="team/other")) == "two"
        events = second.say(second.new_session(), "[say three]", agent="team/careful")
        told = [event["fallback_model"] for event in events if event["type"] == "model_fallback"]
        assert told == ["anthropic/claude-opus-5-5"]
        assert text_of(events) == "three"
        first.stop(session)
        refused.rest()


def test_keys_are_stored_as_digests(servers: tuple[Server, Server]) -> None:
    client = LocalClient(servers[0])
    assert text_of(client.say(client.new_session(), "[fail 529 1][say one]", agent="team")) == "one"
    with servers[0].store.database.reading() as connection:
        [row] = connection.execute(select(brakes)).all()
    assert len(row.key) == 64
    assert "test-key" not in repr(row)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class CountedStore(BrakeStore):
    """Stands in for the database: how often was it asked? A pressed brake is held until the clock is at `until`;
    `stuck`, for ever."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.until, self.looks, self.away, self.stuck = clock, 0.0, 0, False, False

    def seconds_left(self, key: str) -> float:
        self.looks += 1
        if self.away:
            raise StoreUnavailable()
        return 50.0 if self.stuck else max(self.until - self.clock.now, 0.0)

    def press(self, key: str, seconds: float | None) -> float:
        if self.away:
            raise StoreUnavailable()
        self.until = self.clock.now + (seconds or 1.0)
        return seconds or 1.0


REQUEST = ModelRequest(
    "claude-sonnet-5-5", b"", b"", [b'{"role":"user","content":[{"type":"text","text":"Hi"}]}'], 100
)


class Waits(FakeCancellation):
    """Lets the clock go on instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._clock = clock

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self._clock.now += timeout
        return self.is_set()


def refusal(retry_after: float | None = None, **more: Any) -> list[ModelError]:
    fields: dict[str, Any] = {"kind": "rate_limited", "status": 429, "retry_after": retry_after, **more}
    return [ModelError("no", **fields)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted(clock: Clock) -> CountedStore:
    return CountedStore(clock)


def braked(counted: CountedStore, clock: Clock, *lines: Any) -> BrakedModel:
    return BrakedModel(ScriptedModel(*lines), Brakes(counted, clock), api_key="k", base_url="u")


def test_many_calls_without_a_brake_read_the_database_once(counted: CountedStore, clock: Clock) -> None:
    model = braked(counted, clock, *[said("x")] * 51)
    for _ in range(50):
        list(model.stream(REQUEST, Waits(clock)))
    assert counted.looks == 1
    clock.now += 1.0
    list(model.stream(REQUEST, Waits(clock)))
    assert counted.looks == 2


def test_a_refused_call_waits_at_the_brake_and_not_for_itself(counted: CountedStore, clock: Clock) -> None:
    model, waits = braked(counted, clock, refusal(20.0), said("x")), Waits(clock)
    refused, *answer = stream_with_retries(model, REQUEST, waits)
    assert (isinstance(refused, Retrying), answer) == (True, said("x"))
    [held] = waits.waits
    assert 20.0 <= held <= 25.0, "as long as the API named, and a little more, so that not all come at once"


def test_a_brake_that_never_opens_holds_a_call_only_so_long(counted: CountedStore, clock: Clock) -> None:
    counted.stuck = True
    model, waits = braked(counted, clock, said("x")), Waits(clock)
    assert list(model.stream(REQUEST, waits)) == said("x")
    assert MAX_HELD_SECONDS <= sum(waits.waits) <= MAX_HELD_SECONDS + 60


def test_without_the_database_a_process_brakes_alone(counted: CountedStore, clock: Clock) -> None:
    counted.away = True
    model, waits = braked(counted, clock, refusal(20.0), said("x")), Waits(clock)
    refused, *answer = stream_with_retries(model, REQUEST, waits)
    assert (isinstance(refused, Retrying), answer) == (True, said("x"))
    assert 20.0 <= sum(waits.waits) <= 25.0


@pytest.mark.parametrize(
    ("kind", "status", "presses"),
    [
        ("rate_limited", 429, True),
        ("retryable", 529, True),
        ("final", 429, False),  # a spending limit
        ("retryable", 500, False),
        ("retryable", None, False),
        ("cancelled", None, False),
    ],
)
def test_only_limits_and_overload_press_the_brake(
    counted: CountedStore, clock: Clock, kind: Any, status: int | None, presses: bool
) -> None:
    model = braked(counted, clock, refusal(20.0, kind=kind, status=status))
    with pytest.raises(ModelError):
        list(model.stream(REQUEST, Waits(clock)))
    assert (counted.until > 0) is presses


def test_a_hold_ends_with_a_cancel(counted: CountedStore, clock: Clock) -> None:
    counted.stuck = True
    waits = Waits(clock)
    waits.cancel()
    with pytest.raises(ModelError) as raised:
        list(braked(counted, clock).stream(REQUEST, waits))
    assert raised.value.kind == "cancelled"
