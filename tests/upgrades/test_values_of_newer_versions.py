"""Words that a newer version writes where this one knows a few: kinds, states and statuses are survived."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store.engine import Database
from app.store.migrate import migrate
from app.store.store import Store
from tests.harness.wire import text_of
from tests.upgrades.conftest import Connect, StartOn
from tests.upgrades.filling import session_of
from tests.upgrades.using import approve_both_calls, give_leave, read_session

CHANGES = (
    "UPDATE runs SET status = 'at_rest' WHERE status = 'failed'",
    "UPDATE tool_calls SET state = 'put_off' WHERE state = 'completed'",
    "UPDATE tool_calls SET decision = 'approve-for-a-day' WHERE decision = 'approve-tool'",
    "UPDATE messages SET partial = 'put_off', stop_reason = 'new_reason' WHERE partial = 'cancelled'",
    "UPDATE audit SET action = 'admire' WHERE action = 'star'",
    "UPDATE runs SET waiting_for_json = replace(waiting_for_json, '\"elicitation\"', '\"riddle\"')",
)


@pytest.fixture
def newer_url(filled_url: str) -> str:
    with closing(Database(filled_url)) as database, database.writing() as connection:
        for change in CHANGES:
            assert connection.execute(text(change)).rowcount, change
    return filled_url


def test_everything_else_can_be_read_and_goes_on(
    newer_url: str, start: StartOn, connect: Connect, tmp_path: Path
) -> None:
    server = start()
    client = connect(server)
    sessions = {one["title"]: one["id"] for one in client.get("/api/sessions").json()}
    for session in sessions.values():
        read_session(client, session)
    assert "at_rest" in {run["status"] for run in client.get("/api/runs").json()}
    assert "admire" in {
        entry["action"] for entry in connect(server, operator=True).get("/api/audit").json()["entries"]
    }
    approve_both_calls(client, tmp_path)
    give_leave(client)
    for title in set(sessions) - {"waits for a form"}:
        assert text_of(client.say(sessions[title], "[calm][say and on]")).endswith("and on"), title
    riddle = session_of(client, "waits for a form")
    assert client.session(riddle)["run"]["waiting_for"]["kind"] == "riddle"
    assert client.resume(riddle, "approve").json()["code"] == "nothing_to_answer"
    assert client.post(f"/api/sessions/{riddle}/cancel?wait=30s").ok
    assert text_of(client.say(riddle, "[say free again]")).endswith("free again")


def test_a_question_of_a_kind_that_is_not_known_does_not_expire_here(newer_url: str) -> None:
    """A newer process knows what no answer means to it."""
    with closing(Database(newer_url)) as database:
        migrate(database)
        expired = Store(database, lease_seconds=30).runs.unanswered(0.0)
    assert {run.waiting_for.kind for run in expired if run.waiting_for} == {"approval", "max_iterations"}
