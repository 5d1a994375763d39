"""Requests per minute: a bucket for each name, that fills again."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import RateLimited
from app.factory import build
from app.offline.server import OfflineServer
from app.web.rate_limit import RateLimit
from tests.conftest import make_settings
from tests.web.test_access import ALICE, BOB, TOKENS, bearer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_holds_a_minutes_requests_and_each_name_has_its_own() -> None:
    limit = RateLimit(5, clock=Clock())
    for _ in range(5):
        limit.take("ann")
    with pytest.raises(RateLimited):
        limit.take("ann")
    limit.take("bob")


def test_who_waits_as_long_as_he_is_told_gets_one_in_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(6, clock=clock)
    for _ in range(6):
        limit.take("ann")
    with pytest.raises(RateLimited) as refused:
        limit.take("ann")
    assert refused.value.retry_after == 10
    clock.now += 9.9
    with pytest.raises(RateLimited):
        limit.take("ann")
    clock.now += 0.2
    limit.take("ann")
    with pytest.raises(RateLimited):
        limit.take("ann")


def test_after_an_hour_of_silence_a_bucket_holds_no_more_than_a_minutes_requests() -> None:
    clock = Clock()
    limit = RateLimit(2, clock=clock)
    limit.take("ann")
    clock.now += 3600
    limit.take("ann")
    limit.take("ann")
    with pytest.raises(RateLimited):
        limit.take("ann")


def test_no_limit_counts_nothing() -> None:
    limit = RateLimit(0)
    for _ in range(1000):
        limit.take("ann")


def test_a_request_too_many_is_429_for_that_name_only(tmp_path: Any, stand_in: OfflineServer) -> None:
    built = build(make_settings(tmp_path, stand_in.url, auth_tokens=TOKENS, requests_per_minute=2))
    http = built.app.test_client()
    for _ in range(2):
        assert http.get("/api/sessions", headers=bearer(ALICE)).status_code == 200
    response = http.get("/api/sessions", headers=bearer(ALICE))
    assert (response.status_code, response.get_json()["code"]) == (429, "rate_limited")
    assert 1 <= int(response.headers["Retry-After"]) <= 30
    assert http.get("/api/sessions", headers=bearer(BOB)).status_code == 200
    assert http.get("/api/ping", headers=bearer(ALICE)).status_code == 200
    built.close()
