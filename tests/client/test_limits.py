"""Refusals that a token, its limits and its budget bring about: which calls are tried again, and which are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Protocol

import pytest

from anthropic_standin.standin_server import OfflineServer
from baton_client import (
    BatonClient,
    BudgetReachedError,
    NotAllowedError,
    NotFoundError,
    RunFailedError,
    RunStream,
    ToolApprovalEvent,
    TooManyError,
)
from tests.conftest import AGENTS
from tests.harness.process import BatonProcess

NAMES = ("anna", "ben", "carl", "dora")
ECHO = '[call shell {"cmd": "echo hands"}][then][say done]'
SETTINGS = {
    "BATON_AUTH_TOKENS": ",".join(f"{name}:a-token-of-{name}-alone" for name in NAMES),
    "BATON_RUNS_PER_TOKEN": "1",
    "BATON_REQUESTS_PER_MINUTE": "20",
    "BATON_SESSION_BUDGET": "0.000001",
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("work")
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=SETTINGS) as one:
        yield one


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses in which the client would have slept, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


class Of(Protocol):
    def __call__(self, name: str, *, retry_seconds: float = 60.0) -> BatonClient: ...


@pytest.fixture
def of(process: BatonProcess, model: OfflineServer) -> Iterator[Of]:
    """The client of one of those names."""
    with ExitStack() as opened:
        yield lambda name, *, retry_seconds=60.0: opened.enter_context(
            BatonClient(process.url, f"a-token-of-{name}-alone", retry_seconds=retry_seconds)
        )


def waiting_run(baton: BatonClient) -> RunStream:
    run = baton.run(baton.create_session()["id"], ECHO, agent="tools")
    next(event for event in run if isinstance(event, ToolApprovalEvent))
    return run


def release_again_and_again(baton: BatonClient) -> None:
    """More often than may be in a minute; it never succeeds."""
    for _ in range(30):
        with suppress(NotFoundError):
            baton.release("no-such-run")


def test_a_wrong_token_is_not_allowed(process: BatonProcess, of: Of) -> None:
    with BatonClient(process.url, "wrong") as stranger, pytest.raises(NotAllowedError):
        stranger.sessions()
    assert of("anna").sessions() == []


def test_a_run_that_is_one_too_many_begins_when_there_is_room(
    of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    baton = of("anna")
    first, slept = waiting_run(baton), []

    def make_room(seconds: float) -> None:
        slept.append(seconds)
        first.cancel()

    monkeypatch.setattr("time.sleep", make_room)
    second = baton.run(baton.create_session()["id"], "[say me]", agent="plain")
    assert slept == [2.0]  # the server's Retry-After
    assert second.text() == "me"
    first.detach()


def test_who_has_no_patience_is_told_of_what_there_is_too_much(of: Of, pauses: list[float]) -> None:
    baton = of("ben", retry_seconds=1.0)
    run = waiting_run(baton)
    with pytest.raises(TooManyError) as refusal:
        baton.run(baton.create_session()["id"], "[say me]", agent="plain")
    assert (refusal.value.status, refusal.value.code) == (429, "too_many_runs")
    assert refusal.value.retry_after == 2.0
    assert pauses == []
    run.cancel()
    run.detach()


def test_what_could_happen_twice_is_not_sent_again(of: Of, pauses: list[float]) -> None:
    baton = of("carl")
    with pytest.raises(TooManyError) as refusal:
        release_again_and_again(baton)
    assert refusal.value.code == "rate_limited"
    assert refusal.value.retry_after >= 1
    assert pauses == []


def test_a_used_up_budget_is_an_exception_of_its_own(of: Of) -> None:
    baton = of("dora")
    session = baton.create_session()["id"]
    baton.run(session, "[say something]", agent="plain").text()
    with pytest.raises(BudgetReachedError) as refusal:
        baton.run(session, "[say more]", agent="plain")
    assert (refusal.value.status, refusal.value.code) == (402, "budget_reached")
    assert (refusal.value.budget, refusal.value.limit) == ("session", 0.000001)
    assert refusal.value.spent > refusal.value.limit


def test_a_budget_that_is_used_up_on_the_way_fails_the_run(of: Of) -> None:
    baton = of("dora")
    twice = '[call think {"thought": "a"}][then][say done]'
    with pytest.raises(RunFailedError) as failure:
        baton.run(baton.create_session(tools_approved=True)["id"], twice, agent="tools").text()
    assert failure.value.code == "budget_reached"
