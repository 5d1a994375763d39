"""During a rolling upgrade the old code and this work on one database, which this has migrated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.store.engine import Database
from app.store.migrate import NEWEST, revision
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client, text_of
from tests.store.conftest import KINDS
from tests.upgrades.conftest import Connect, StartOn, servers_on
from tests.upgrades.filling import APPROVED_FILE, call, converse, leave_questions
from tests.upgrades.using import go_on, read_everything


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sessions of both servers work."""
    return tmp_path_factory.mktemp("side-by-side")


@pytest.fixture(scope="module", params=KINDS)
def servers(
    request: pytest.FixtureRequest, directory: Path, stand_in: OfflineServer, old_tree: Path
) -> Iterator[tuple[BatonProcess, BatonProcess]]:
    """An old server, and a new one that has migrated its database meanwhile."""
    if request.param == "sqlite":
        url = f"sqlite:///{directory / 'both.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    with servers_on(url, directory, stand_in.url) as start:
        old = start(old_tree)
        assert revision_of(url) == "0001"
        new = start()
        assert revision_of(url) == NEWEST
        yield old, new


def revision_of(url: str) -> str | None:
    database = Database(url)
    try:
        return revision(database)
    finally:
        database.close()


@pytest.fixture(params=["old holds it", "new holds it"])
def pair(
    request: pytest.FixtureRequest,
    servers: tuple[BatonProcess, BatonProcess],
    connect: Connect,
    model: OfflineServer,
) -> tuple[Client, Client]:
    """A client of the server that holds a run, and one of the other server."""
    old, new = (connect(server) for server in servers)
    return (old, new) if request.param == "old holds it" else (new, old)


@pytest.fixture
def gate(directory: Path) -> Iterator[Gate]:
    one = Gate(directory)
    yield one
    one.close()


def test_a_live_run_is_seen_steered_and_read_by_the_other(pair: tuple[Client, Client], gate: Gate) -> None:
    holder, other = pair
    session = holder.new_session(tools_approved=True)
    with holder.run(session, f"{gate.call}[then][say opened]", agent="hands") as stream:
        gate.wait_until_reached()
        assert other.session(session)["run"]["status"] == "running"
        refused = other.try_run(session, "me too", agent="hands")
        assert (refused.status_code, refused.json()["code"]) == (409, "session_busy")
        assert other.post(f"/api/sessions/{session}/steer", [{"role": "user", "content": "[say steered]"}]).ok
        with other.follow(session, since=0) as followed:
            gate.open()
            assert text_of(stream.rest()).endswith("steered")
            followed.until("stream_stopped")
            assert text_of(followed.events).endswith("steered")
    assert text_of(other.say(session, "[say free again]", agent="hands")) == "free again"


def test_a_question_is_answered_through_the_other(pair: tuple[Client, Client], directory: Path) -> None:
    holder, other = pair
    session = holder.new_session()
    text = call("shell", cmd=f"echo once >> {session}") + "[then][say approved]"
    with holder.run(session, text, agent="hands") as stream:
        stream.until("tool_call_confirmation")
        assert other.session(session)["run"]["waiting_for"]["kind"] == "approval"
        assert other.resume(session, "approve").ok
        assert text_of(stream.rest()) == "approved"
    assert (directory / session).read_text() == "once\n"


def test_a_run_is_stopped_through_the_other(pair: tuple[Client, Client], gate: Gate) -> None:
    holder, other = pair
    session = holder.new_session(tools_approved=True)
    with holder.run(session, f"{gate.call}[then][say never]", agent="hands") as stream:
        gate.wait_until_reached()
        assert other.post(f"/api/sessions/{session}/cancel").ok
        assert stream.rest()[-1]["type"] == "stream_stopped"
    assert other.get("/api/runs", params={"session": session}).json()[0]["status"] == "cancelled"


def test_everything_that_one_has_stored_the_other_reads_and_goes_on_with(
    pair: tuple[Client, Client], servers: tuple[BatonProcess, BatonProcess], connect: Connect, directory: Path
) -> None:
    holder, other = pair
    for session in holder.get("/api/sessions").json():
        assert holder.request("DELETE", f"/api/sessions/{session['id']}").ok
    (directory / APPROVED_FILE).unlink(missing_ok=True)
    converse(holder)
    leave_questions(holder)
    read_everything(other, connect(servers[1], operator=True))
    go_on(other, directory)


def test_the_old_code_adopts_what_waits_after_the_migration(
    start: StartOn, connect: Connect, old_tree: Path, tmp_path: Path
) -> None:
    old = start(old_tree)
    start()
    go_on(connect(old), tmp_path)
