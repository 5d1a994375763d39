"""The key of a follow-up counts for its session, as docker-agent's later clients expect."""

from __future__ import annotations

from pathlib import Path

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import in_parallel
from tests.while_it_runs.conftest import Servers
from tests.while_it_runs.talk import body, queue, said_by_user

KEY = {"Idempotency-Key": "k"}


def test_a_repeat_is_stored_no_more_and_says_so_whatever_its_body(
    here: LocalClient, there: LocalClient
) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/followup"
    first = here.call("POST", path, body("one"), headers=KEY, expect=202)
    assert (first["status"], first["duplicate"]) == ("queued_idle", False)
    for client, text in ((here, "one"), (there, "one"), (there, "another")):
        again = client.call("POST", path, body(text), headers=KEY, expect=202)
        assert again == {"status": "duplicate", "duplicate": True, "messages": first["messages"]}
    assert queue(here, session) == ["one"]
    other = here.call("POST", path, body("two"), headers={"Idempotency-Key": "k2"}, expect=202)
    assert other["duplicate"] is False
    assert here.call("POST", path, body("three"), expect=202)["duplicate"] is False
    assert queue(here, session) == ["one", "two", "three"]


def test_the_same_key_in_another_session_is_another_one(here: LocalClient) -> None:
    for _ in range(2):
        session = here.new_session()
        answer = here.call("POST", f"/api/sessions/{session}/followup", body("hi"), headers=KEY, expect=202)
        assert (answer["status"], queue(here, session)) == ("queued_idle", ["hi"])


def test_a_run_may_have_the_same_key(here: LocalClient) -> None:
    session = here.new_session()
    headers = {"Idempotency-Key": f"run of {session}".replace(" ", "-")}
    with here.run(session, "[say one]", headers=headers) as stream:
        stream.rest()
    answer = here.call(
        "POST", f"/api/sessions/{session}/followup", body("[say two]"), headers=headers, expect=202
    )
    assert (answer["status"], answer["duplicate"]) == ("queued_streaming", False)
    here.wait_until_free(session)
    assert said_by_user(here, session) == ["[say one]", "[say two]"]


def test_of_the_same_follow_up_many_times_at_once_one_is_stored(servers: Servers, here: LocalClient) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/followup"

    def send(client: LocalClient) -> str:
        return str(client.call("POST", path, body("once"), headers=KEY, expect=202)["status"])

    statuses = in_parallel([lambda server=server: send(LocalClient(server)) for server in servers * 4])
    assert sorted(statuses) == ["duplicate"] * 7 + ["queued_idle"]
    assert queue(here, session) == ["once"]


def test_a_refused_follow_up_does_not_use_up_its_key(here: LocalClient) -> None:
    session = here.new_session()
    path = f"/api/sessions/{session}/followup"
    here.call("POST", path, body(*["x"] * 51), headers=KEY, expect=429)
    assert here.call("POST", path, body("one"), headers=KEY, expect=202)["duplicate"] is False


def test_whoever_may_write_to_the_session_repeats_the_same_follow_up(
    tmp_path: Path, model: OfflineServer
) -> None:
    tokens = (("ann", "token-of-ann-0123456789"), ("ops/operator", "token-of-ops-0123456789"))
    built = build(make_settings(tmp_path, model.url, auth_tokens=tokens))
    try:
        ann, ops = (LocalClient(built, token=token) for _, token in tokens)
        path = f"/api/sessions/{ann.new_session()}/followup"
        assert ann.call("POST", path, body("one"), headers=KEY, expect=202)["duplicate"] is False
        assert ops.call("POST", path, body("one"), headers=KEY, expect=202)["status"] == "duplicate"
    finally:
        built.close()
