"""A session's status, as seen from whichever process."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest

from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually


def status(client: LocalClient, session: str, *, expect: int = 200) -> Any:
    return client.call("GET", f"/api/sessions/{session}/status", expect=expect)


def test_the_status_says_whether_a_run_is_at_work_in_any_process(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    new = status(there, session)
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        during = status(there, session)
        gate.open("the result")
        stream.rest()
    after = status(there, session)
    assert (new["streaming"], new["agent"], new["num_messages"]) == (False, "", 0)
    assert (during["streaming"], during["agent"]) == (True, "root")
    assert (after["streaming"], after["num_messages"]) == (False, 4)
    assert set(after) == {
        *("id", "title", "streaming", "agent"),
        *("input_tokens", "output_tokens", "num_messages"),
    }


def test_tokens_that_were_set_are_shown(here: LocalClient, there: LocalClient) -> None:
    session = here.new_session()
    counts = {"input_tokens": 12, "output_tokens": 3}
    assert here.call("PATCH", f"/api/sessions/{session}/tokens", counts) == {"status": "updated"}
    assert {name: status(there, session)[name] for name in counts} == counts


def test_a_star_is_kept(here: LocalClient) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/starred"
    assert here.call("PATCH", path, {"starred": True}) == {"status": "updated"}
    assert here.server.store.sessions.get(session).starred
    here.call("PATCH", path, {"starred": False})
    assert not here.server.store.sessions.get(session).starred
    here.call("PATCH", path, {"starred": "yes"}, expect=422)


def test_there_is_no_status_of_a_session_that_is_not_there(here: LocalClient) -> None:
    assert status(here, "nobody", expect=404)["code"] == "unknown_session"


def test_without_a_run_the_wait_ends_in_time(here: LocalClient) -> None:
    session = here.new_session()
    response = here.ask("GET", f"/api/sessions/{session}/status?wait=10ms")
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    body = response.get_json()
    assert (body["code"], body["message"]) == ("session_not_ready", "session not ready within timeout")
    assert (
        here.call("GET", f"/api/sessions/{session}/status?wait=soon", expect=422)["code"] == "invalid_request"
    )
    assert here.call("GET", "/api/sessions/nobody/status?wait=5m", expect=404)["code"] == "unknown_session"


def test_whoever_waits_is_told_of_the_first_run_in_any_process(
    here: LocalClient, there: LocalClient, gate: Gate
) -> None:
    session = here.new_session(tools_approved=True)
    answers: list[Any] = []
    path = f"/api/sessions/{session}/status?wait=1m"
    waiter = threading.Thread(target=lambda: answers.append(LocalClient(there.server).call("GET", path)))
    waiter.start()
    eventually(lambda: there.server.runtime.slots.taken == 1, "it waits")
    with here.run(session, f"{gate.call}[then][say done]", agent="tools") as stream:
        gate.wait_until_reached()
        waiter.join(30)
        gate.open()
        stream.rest()
    assert [answer["streaming"] for answer in answers] == [True]
    assert there.server.runtime.slots.taken == 0
    assert there.call("GET", path)["streaming"] is False, "it has had one"


def test_whoever_waits_for_a_session_that_is_deleted_is_told_so(here: LocalClient) -> None:
    session = here.new_session()
    answers: list[Any] = []
    path = f"/api/sessions/{session}/status?wait=1m"
    waiter = threading.Thread(
        target=lambda: answers.append(LocalClient(here.server).call("GET", path, expect=404))
    )
    waiter.start()
    eventually(lambda: here.server.runtime.slots.taken == 1, "it waits")
    here.call("DELETE", f"/api/sessions/{session}")
    waiter.join(30)
    assert [answer["code"] for answer in answers] == ["unknown_session"]


def test_where_all_places_are_taken_nobody_waits(here: LocalClient) -> None:
    session, places = here.new_session(), here.server.runtime.slots
    taken = [places.take() for _ in range(places.limit)]
    refused = here.call("GET", f"/api/sessions/{session}/status?wait=1m", expect=503)
    assert refused["code"] == "server_full"
    assert here.call("GET", f"/api/sessions/{session}/status")["streaming"] is False
    for place in taken:
        place.give_back()


def test_a_wait_ends_when_its_client_hangs_up(here: LocalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()
    monkeypatch.setattr("app.web.long_poll.client_left", lambda _: nullcontext(left))
    session = here.new_session()
    statuses: list[int] = []
    path = f"/api/sessions/{session}/status?wait=5m"
    waiter = threading.Thread(
        target=lambda: statuses.append(LocalClient(here.server).ask("GET", path).status_code)
    )
    waiter.start()
    eventually(lambda: here.server.runtime.slots.taken == 1, "it waits")
    left.set()
    waiter.join(30)
    assert (statuses, here.server.runtime.slots.taken) == ([503], 0)
