"""`GET /api/ready`: a client that waits for a first session is told of it, and waits no longer than it said."""

from __future__ import annotations

import threading
from typing import Any

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually


def test_without_a_session_the_wait_ends_in_time(local: LocalClient) -> None:
    response = local.ask("GET", "/api/ready?timeout=10ms")
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    body = response.get_json()
    assert (body["code"], body["message"]) == ("no_sessions", "no sessions registered within timeout")
    local.new_session()
    assert local.call("GET", "/api/ready?timeout=10ms") == {"status": "ready"}
    assert local.call("GET", "/api/ready?timeout=soon", expect=422)["code"] == "invalid_request"


def test_whoever_waits_is_told_of_the_first_session_and_takes_a_streams_place(local: LocalClient) -> None:
    answers: list[Any] = []
    waiter = threading.Thread(
        target=lambda: answers.append(LocalClient(local.server).call("GET", "/api/ready"))
    )
    waiter.start()
    eventually(lambda: local.server.runtime.slots.taken == 1, "it waits")
    local.new_session()
    waiter.join(30)
    assert answers == [{"status": "ready"}]
    assert local.server.runtime.slots.taken == 0


def test_where_all_places_are_taken_nobody_waits(local: LocalClient) -> None:
    places = local.server.runtime.slots
    taken = [places.take() for _ in range(places.limit)]
    assert local.call("GET", "/api/ready", expect=503)["code"] == "server_full"
    for place in taken:
        place.give_back()


def test_only_a_session_that_one_may_see_counts(tmp_path: Any, model: OfflineServer) -> None:
    tokens = (("ann", "token-of-ann-0123456789"), ("bob", "token-of-bob-0123456789"))
    built = build(make_settings(tmp_path, model.url, auth_tokens=tokens))
    ann, bob = (LocalClient(built, token=token) for _, token in tokens)
    ann.new_session()
    assert ann.call("GET", "/api/ready") == {"status": "ready"}
    assert bob.call("GET", "/api/ready?timeout=1ms", expect=503)["code"] == "no_sessions"
    assert LocalClient(built).call("GET", "/api/ready", expect=401)["code"] == "unauthorized"
    built.close()


def test_a_server_that_is_ready_says_in_what_state(local: LocalClient, model: OfflineServer) -> None:
    idle = {
        "status": "ready",
        "ready": True,
        "store_connected": True,
        "toolset_health": "ok",
        "agents": "own",
    }
    local.new_session()
    assert local.call("GET", "/ready") == {**idle, "active_sessions": 0}
    with local.run(local.new_session(), "[hold 1][say done]") as stream:
        stream.until("agent_choice")
        assert local.call("GET", "/ready") == {**idle, "active_sessions": 1}
        model.release()
        stream.rest()
