"""Requests per minute: a process takes slices of an allowance that all processes share."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import RateLimited
from app.factory import build
from app.web.rate_limit import HOLD_SECONDS, RateLimit
from tests.conftest import make_settings
from tests.web.test_access import ALICE, BOB, TOKENS, bearer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Purse:
    """An allowance of so many requests that never fills again."""

    def __init__(self, requests: int) -> None:
        self.left = requests
        self.asked: list[tuple[str, int]] = []

    def take_requests(self, owner: str, wanted: int, *, per_minute: int) -> tuple[int, float]:
        self.asked.append((owner, wanted))
        taken = min(wanted, self.left)
        self.left -= taken
        return taken, 0.0 if taken else 7.5


def let_through(limit: RateLimit, name: str, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            limit.take(name)
            count += 1
        except RateLimited:
            pass
    return count


def test_what_is_let_through_is_what_was_taken_and_few_requests_ask() -> None:
    purse = Purse(100)
    limit = RateLimit(purse, 200, clock=Clock())
    assert let_through(limit, "ann", 150) == 100
    assert purse.asked == [("ann", 10)] * 11


def test_who_was_refused_is_refused_without_asking_until_his_time_has_come() -> None:
    purse, clock = Purse(0), Clock()
    limit = RateLimit(purse, 20, clock=clock)
    with pytest.raises(RateLimited) as refused:
        limit.take("ann")
    assert refused.value.retry_after == 8
    assert let_through(limit, "ann", 5) == 0
    assert len(purse.asked) == 1
    clock.now += 7.5
    purse.left = 1
    limit.take("ann")


def test_one_name_does_not_use_up_anothers() -> None:
    purse = Purse(3)
    limit = RateLimit(purse, 20, clock=Clock())
    assert let_through(limit, "ann", 3) == 3
    with pytest.raises(RateLimited):
        limit.take("ann")
    purse.left = 1
    limit.take("bob")
    assert purse.asked[-1] == ("bob", 1)


def test_what_is_not_used_soon_is_lost_and_not_saved_up() -> None:
    purse, clock = Purse(20), Clock()
    limit = RateLimit(purse, 200, clock=clock)
    limit.take("ann")
    clock.now += HOLD_SECONDS
    assert let_through(limit, "ann", 100) == 10


def test_no_limit_asks_nobody() -> None:
    purse = Purse(0)
    assert let_through(RateLimit(purse, 0), "ann", 100) == 100
    assert purse.asked == []


def test_a_request_too_many_is_429_on_whatever_server_for_that_name_only(
    tmp_path: Any, stand_in: OfflineServer
) -> None:
    settings = make_settings(tmp_path, stand_in.url, auth_tokens=TOKENS, requests_per_minute=2)
    servers = [build(settings) for _ in range(3)]
    users = [server.app.test_client() for server in servers]
    answers = [http.get("/api/sessions", headers=bearer(ALICE)) for http in users]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].get_json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    assert users[-1].get("/api/sessions", headers=bearer(BOB)).status_code == 200
    assert users[-1].get("/api/ping", headers=bearer(ALICE)).status_code == 200
    for server in servers:
        server.close()
