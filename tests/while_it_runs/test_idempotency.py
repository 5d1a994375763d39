"""F34: the same request again is the first one: attached to while it runs, replayed afterwards, never done twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.settings import Settings
from tests.conftest import make_settings
from tests.harness.gate import Gate
from tests.harness.in_process import LocalClient
from tests.harness.wire import in_parallel
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.cutting import numbered
from tests.while_it_runs.talk import body, queue, said_by_user

DONE = "[then][say done]"
HELD = "[words 50][hold 5]"
MARCH = {"Baton-Wire": "march-2026"}
"""For follow-ups, whose keys count for their sender then, and not for the session."""


@pytest.fixture
def key(request: pytest.FixtureRequest) -> dict[str, str]:
    """A key that no other test uses."""
    return {"Idempotency-Key": request.node.name}


def runs(client: LocalClient, session: str) -> list[dict[str, Any]]:
    return list(client.call("GET", f"/api/runs?session={session}"))


def test_f34_in_flight_the_retry_attaches_and_the_tool_runs_once(
    here: LocalClient, there: LocalClient, gate: Gate, key: dict[str, str]
) -> None:
    session = here.new_session(tools_approved=True)
    text = f"{gate.call}{DONE}"
    with here.run(session, text, agent="tools", headers=key) as first:
        gate.wait_until_reached()
        with (
            here.run(session, text, agent="tools", headers=key) as second,
            there.run(session, text, agent="tools", headers=key) as third,
        ):
            second.until("tool_call")
            third.until("tool_call")
            gate.open()
            for stream in (first, second, third):
                stream.rest()
    assert numbered(bytes(second.raw)) == numbered(bytes(third.raw)) == numbered(bytes(first.raw))
    assert b": ping" not in third.raw  # the end came with its events, not after a row of empty looks
    assert "Idempotent-Replayed" not in first.response.headers
    assert second.response.headers["Idempotent-Replayed"] == "true"
    assert len(runs(here, session)) == 1
    assert said_by_user(here, session) == [text]


def test_f34_after_the_end_the_retry_gets_the_same_bytes_and_nothing_of_later_runs(
    here: LocalClient, there: LocalClient, model: OfflineServer, key: dict[str, str]
) -> None:
    session = here.new_session()
    with here.run(session, "[say one]", headers=key) as first:
        first.rest()
    here.say(session, "[say two]")
    asked = len(model.requests)
    for client in (here, there):
        with client.run(session, "[say one]", headers=key) as again:
            again.rest()
        assert numbered(bytes(again.raw)) == numbered(bytes(first.raw))
    assert len(model.requests) == asked
    assert said_by_user(here, session) == ["[say one]", "[say two]"]


def test_f34_after_a_failure_the_retry_is_told_of_that_failure(
    here: LocalClient, key: dict[str, str]
) -> None:
    session = here.new_session()
    with here.run(session, "[fail 400]", headers=key) as first:
        first.until("error")
        first.rest()
    with here.run(session, "[fail 400]", headers=key) as again:
        again.rest()
    assert numbered(bytes(again.raw)) == numbered(bytes(first.raw))
    assert [run["status"] for run in runs(here, session)] == ["failed"]


def test_f34_another_request_with_the_key_is_a_conflict_of_its_own_kind(
    here: LocalClient, there: LocalClient, key: dict[str, str]
) -> None:
    session = here.new_session()
    with here.run(session, "[say one]", headers=key) as stream:
        stream.rest()
    for client in (here, there):
        other_text = client.try_run(session, "[say two]", headers=key)
        other_agent = client.try_run(session, "[say one]", agent="tools", headers=key)
        other_session = client.try_run(here.new_session(), "[say one]", headers=key)
        path = f"/api/sessions/{session}/followup"
        other_route = client.ask("POST", path, body("[say one]"), headers={**key, **MARCH})
        for response in (other_text, other_agent, other_session, other_route):
            assert (response.status_code, response.get_json()["code"]) == (409, "idempotency_conflict")
    assert said_by_user(here, session) == ["[say one]"]


def test_f34_a_refusal_does_not_use_up_the_key(
    here: LocalClient, model: OfflineServer, key: dict[str, str]
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        assert here.try_run(session, "[say mine]", headers=key).status_code == 409
        model.release()
        stream.rest()
    assert here.try_run(session, "[say mine]", agent="nobody", headers=key).status_code == 404
    with here.run(session, "[say mine]", headers=key) as mine:
        mine.rest()
    assert "Idempotent-Replayed" not in mine.response.headers
    path = f"/api/sessions/{session}/steer"
    for _ in range(2):
        refusal = here.call("POST", path, body("left"), headers=for_route(key, "steer"), expect=409)
        assert refusal["code"] == "not_running"


def test_of_the_same_request_many_times_at_once_one_runs_and_all_see_it(
    servers: Servers, here: LocalClient, key: dict[str, str]
) -> None:
    session = here.new_session()

    def ask(server: Server) -> bytes:
        with LocalClient(server).run(session, "[words 20]", headers=key) as stream:
            stream.rest()
            return numbered(bytes(stream.raw))

    seen = in_parallel([lambda server=server: ask(server) for server in servers * 4])
    assert len(set(seen)) == 1
    assert len(runs(here, session)) == 1
    assert said_by_user(here, session) == ["[words 20]"]


def test_a_retry_without_a_stream_is_pointed_to_the_first_run(
    here: LocalClient, there: LocalClient, key: dict[str, str]
) -> None:
    session = here.new_session()
    first = here.try_run(session, "[say one]", query="?stream=false", headers=key)
    again = there.try_run(session, "[say one]", query="?stream=false", headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.get_json()["run"]["id"] == first.get_json()["run"]["id"]
    here.wait_until_free(session)


def test_a_queued_message_is_queued_once(
    here: LocalClient, there: LocalClient, gate: Gate, key: dict[str, str]
) -> None:
    session = here.new_session(tools_approved=True)
    with here.run(session, f"{gate.call}{DONE}", agent="tools") as stream:
        gate.wait_until_reached()
        for route in ("steer", "followup"):
            path, named = f"/api/sessions/{session}/{route}", for_route(key, route)
            first = here.call("POST", path, body(route), headers=named, expect=202)
            assert len(first["messages"]) == 1
            again = there.call("POST", path, body(route), headers=named, expect=202)
            assert again == {**first, "duplicate": True}
            refusal = there.call("POST", path, body("other"), headers=named, expect=409)
            assert refusal["code"] == "idempotency_conflict"
        assert queue(here, session) == ["steer", "followup"]
        gate.open()
        stream.rest()
    path, named = f"/api/sessions/{session}/steer", for_route(key, "steer")
    assert here.call("POST", path, body("steer"), headers=named, expect=202)["duplicate"]  # though it is idle
    assert said_by_user(here, session)[1:] == ["steer", "followup"]


def test_a_retry_of_what_nobody_will_begin_with_is_told_so_again(
    here: LocalClient, there: LocalClient, key: dict[str, str]
) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/followup"
    first = here.call("POST", path, body("anybody?"), headers={**key, **MARCH}, expect=202)
    assert first["status"] == "queued_idle"
    again = there.call("POST", path, body("anybody?"), headers={**key, **MARCH}, expect=202)
    assert again == {**first, "duplicate": True}


def for_route(key: dict[str, str], route: str) -> dict[str, str]:
    return {"Idempotency-Key": f"{key['Idempotency-Key']}-{route}", **MARCH}


def test_a_run_that_was_queued_is_queued_once(
    here: LocalClient, model: OfflineServer, key: dict[str, str]
) -> None:
    session = here.new_session()
    with here.run(session, HELD) as stream:
        stream.until("agent_choice")
        for _ in range(2):
            response = here.try_run(session, "[say later]", query="?when_busy=queue", headers=key)
            assert response.status_code == 202
        assert response.get_json()["duplicate"]
        assert queue(here, session) == ["[say later]"]
        model.release()
        stream.rest()
    assert said_by_user(here, session) == [HELD, "[say later]"]


def test_a_session_is_created_once(servers: Servers, here: LocalClient, key: dict[str, str]) -> None:
    def create(server: Server) -> Any:
        return LocalClient(server).call("POST", "/api/sessions", {"max_iterations": 7}, headers=key)

    answers = in_parallel([lambda server=server: create(server) for server in servers * 3])
    assert all(answer == answers[0] for answer in answers)
    refusal = here.call("POST", "/api/sessions", {"max_iterations": 8}, headers=key, expect=409)
    assert refusal["code"] == "idempotency_conflict"
    ids = [session["id"] for session in here.call("GET", "/api/sessions")]
    assert ids.count(answers[0]["id"]) == 1


def test_a_restart_forgets_no_key(here: LocalClient, settings: Settings, key: dict[str, str]) -> None:
    session = here.new_session()
    with here.run(session, "[say one]", headers=key) as first:
        first.rest()
    restarted = build(settings)
    with LocalClient(restarted).run(session, "[say one]", headers=key) as again:
        again.rest()
    restarted.close()
    assert numbered(bytes(again.raw)) == numbered(bytes(first.raw))


@pytest.fixture
def guarded(tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    """A server that two people use."""
    tokens = (("ann", "a" * 20), ("bob", "b" * 20))
    server = build(make_settings(tmp_path, model.url, auth_tokens=tokens))
    yield LocalClient(server)
    server.close()


def test_two_people_may_use_the_same_key(guarded: LocalClient, key: dict[str, str]) -> None:
    ann, bob = ({**key, "Authorization": f"Bearer {letter * 20}"} for letter in "ab")
    first = guarded.call("POST", "/api/sessions", {}, headers=ann)
    second = guarded.call("POST", "/api/sessions", {}, headers=bob)
    assert first["id"] != second["id"]
    assert guarded.call("POST", "/api/sessions", {}, headers=ann) == first


def test_after_a_day_a_key_is_free_again(here: LocalClient, servers: Servers, key: dict[str, str]) -> None:
    first = here.call("POST", "/api/sessions", {}, headers=key)
    age_keys(servers[0], hours=23)
    assert here.call("POST", "/api/sessions", {}, headers=key) == first
    age_keys(servers[0], hours=2)
    assert here.call("POST", "/api/sessions", {}, headers=key)["id"] != first["id"]


def age_keys(server: Server, *, hours: int) -> None:
    with server.store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE idempotency_keys SET created_at = created_at - {hours * 3600}")
