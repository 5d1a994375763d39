"""A server's permanent work costs as much as is going on, never as much as is stored: no statement of a claim, a
refusal, a run, a renewed lease or housekeeping reads a table from end to end. Judged by the database's own plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.blocks import text_block
from app.conversation.run import LIVE, Baton
from app.conversation.search_words import SearchQuery
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.factory import Server, build
from app.runtime import periodic_tasks
from app.runtime.periodic_tasks import PeriodicTasks
from app.store.engine import Database
from app.store.fence import Fenced
from app.store.file_store import FilePage
from app.store.lease_store import LeaseStore
from app.store.migrate import migrate
from app.store.queued_work import QUEUE_WORK, new_work
from app.store.search_index import SearchIndex
from app.store.store import Store
from tests.conftest import held_by, make_settings
from tests.harness.filled import fill
from tests.harness.in_process import LocalClient
from tests.harness.plans import Statements, recorded, scans
from tests.harness.process import eventually
from tests.store.actors import begin
from tests.while_it_runs.talk import steer

SEGMENTS: Final = 5  # of each session
AGES: Final = ("runs_by_start", "roots_by_age", "roots_by_activity")
TOKEN: Final = "a-token-of-the-tests"


@pytest.fixture
def filled_url(database_url: str) -> str:
    with closing(Database(database_url)) as database:
        migrate(database)
        fill(database, sessions=300, segments=SEGMENTS)
    return database_url


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Maintenance does everything at once, whatever the period of a task is. The list gets an entry for each call of
    a task."""
    done: list[str] = []

    def every(keeping: PeriodicTasks, _seconds: float, act: Callable[[], object]) -> None:
        def noted() -> None:
            act()
            done.append("a task")

        real_every(keeping, 0.0, noted)

    def renew(leases: LeaseStore, batons: Sequence[Baton]) -> Fenced:
        fenced = real_renew(leases, batons)
        done.append("a renewal")
        return fenced

    real_every, real_renew = PeriodicTasks.every, LeaseStore.renew
    monkeypatch.setattr(PeriodicTasks, "every", every)
    monkeypatch.setattr(LeaseStore, "renew", renew)
    monkeypatch.setattr(periodic_tasks, "LOOK_SECONDS", 0.2)
    return done


@pytest.fixture
def statements(
    filled_url: str, tmp_path: Path, model: OfflineServer, done: list[str]
) -> Iterator[tuple[Server, Statements]]:
    with recorded() as noted:
        limits = {
            "session_budget": 9.0,
            "token_budget": 9.0,
            "runs_per_token": 9,
            "requests_per_minute": 9999,
        }
        more = {"database_url": filled_url, "lease_seconds": 3.0, "auth_tokens": [("ann", TOKEN)], **limits}
        server = build(make_settings(tmp_path, model.url, **more))
        yield server, noted
        eventually(lambda: not held_by(server), "everything was given back")
        server.close()


def test_no_statement_of_what_goes_on_all_the_time_scans_a_table(
    statements: tuple[Server, Statements], done: list[str], model: OfflineServer
) -> None:
    server, noted = statements
    store, client = server.store, LocalClient(server, token=TOKEN)
    session = client.new_session()
    with client.run(session, "[words 20] [hold 5 times 1]") as stream:
        stream.until("agent_choice")
        steer(client, session, "and [say more]")
        assert client.try_run(session, "me too").status_code == 409
        eventually(lambda: "a renewal" in done, "the lease is renewed")
        everything = 2 * len(server.runtime.periodic_tasks._tasks)
        eventually(lambda: done.count("a task") >= everything, "maintenance has done all that it ever does")
        model.release()
        stream.rest()
    client.call("GET", "/api/sessions")
    client.call("GET", f"/api/runs?session={session}")
    client.run(session, "once", headers={"Idempotency-Key": "a-key"}).rest()
    client.say(session, '[call think {"thought": "so"}] [then] [say done]', agent="tools")
    client.say(session, "[words 80]")
    assert store.condenser.condense(ended_for=-60.0)
    store.claims.withdraw(begin(store, session, "never mind"))
    assert any(words.startswith("DELETE FROM event_segments") for words in list(noted.sent))
    _assert_no_scan(store.database, noted)
    in_the_way = [words for words in noted.sent if "FOR UPDATE" in words and "SKIP LOCKED" not in words]
    assert not in_the_way, "a lock for more than a change of the row blocks whatever refers to it"


def test_no_list_and_no_look_at_events_scans_a_table(filled_url: str) -> None:
    with recorded() as noted, closing(Database(filled_url)) as database:
        store = Store(database, lease_seconds=30.0)
        for status in ((), ("failed",), ("running",), LIVE):
            assert store.runs.recent(status=status, limit=5) or set(status) <= set(LIVE)
            store.runs.recent(status=status, older_than=1.0, limit=5)
            store.runs.recent(status=status, session_id="old-7", limit=1)
        assert not store.runs.unanswered(0.0)
        store.runs.count_live()
        assert store.runs.longest_waits() == {"awaiting_approval": 0, "awaiting_input": 0}
        newest = store.sessions.summaries(limit=5)[-1].session
        for owner in (None, "owner-1"):
            older = store.sessions.summaries(owner=owner, limit=5, after=(newest.created_at, newest.id))
            assert older[0].session.created_at < newest.created_at
        store.sessions.summaries(at_work=True, by_activity=True, limit=5)
        for owner in (None, "owner-1"):
            active = store.sessions.summaries(owner=owner, by_activity=True, limit=5)[-1]
            after = (active.active_at, active.session.id)
            assert store.sessions.summaries(owner=owner, by_activity=True, limit=5, after=after)
        for owner in (None, "owner-1"):
            first = store.files.page(FilePage(5), owner=owner)[-1]
            place = (first.created_at, first.id)
            assert store.files.page(FilePage(5, after=place), owner=owner)
            assert store.files.page(FilePage(5, before=place), owner=owner)
            assert len(store.files.page(FilePage(5, session_id="old-1", ids=["file-1-5"]), owner=owner)) == 1
            assert len(store.files.page(FilePage(5, session_id="old-1"), owner=owner)) == 5
        assert store.files.outputs("old-7") == []
        assert len(store.resources.of(["old-7", "old-8"])["old-7"]) == 10
        assert len(store.resources.mounted("old-7")) == 10
        store.files.keep([b"more"], owner="owner-1")
        store.files.delete("file-1-1", owner=None)
        assert store.events.bounds("old-7") == (1, 9 * SEGMENTS)
        assert store.events.newest(["old-7", "old-8", "none"]) == {
            "old-7": 9 * SEGMENTS,
            "old-8": 9 * SEGMENTS,
        }
        assert len(store.events.read("old-7", 9)) == SEGMENTS - 1
        assert not store.queue.waiting("old-7")
        assert not store.queue.stranded()
        assert store.queue.depths() == {"steer": 0, "followup": 0}
        begun = begin(store, "old-7", "hello")  # where nothing limits the session
        store.runs.finish(begun.run.baton, "finished", next_event=begun.next_event)
        _assert_no_scan(database, noted, along=[*AGES, "files_by_age", "sqlite_autoindex_files_2"])


def test_no_search_and_no_work_on_its_index_scans_a_table(filled_url: str) -> None:
    with recorded() as noted, closing(Database(filled_url)) as database:
        store = Store(database, lease_seconds=30.0)
        new = Session("plan-of-a-search", title="a kumquat", owner="owner-1")
        store.sessions.create(new, transcript=[Message("user", (text_block("two kumquats"),))])
        store.sessions.set_title(new.id, "the kumquat")
        assert SearchIndex(database, enabled=False).step_new()
        while store.search_index.waits():
            assert store.search_index.step()
        for owner in (None, "owner-1"):
            query = SearchQuery.parse("kumqu")
            (title, _) = store.search.find(query, owner=owner, limit=5)
            assert store.search.find(query, owner=owner, limit=5, after=title.place)
        _assert_no_scan(database, noted)


def test_no_look_at_work_scans_a_table(filled_url: str) -> None:
    with recorded() as noted, closing(Database(filled_url)) as database:
        store = Store(database, lease_seconds=30.0)
        with database.writing() as connection:
            for number in range(100, 200):
                values = new_work(f"old-{number}", f"env-{number % 50}", at=1.0 + number)
                QUEUE_WORK.run(connection, values)
        newest = store.work.page("env-7", limit=1, after=None)[0]
        assert len(store.work.page("env-7", limit=5, after=(newest.created_at, newest.id))) == 1
        store.work.note_poll("env-7", "a worker")
        assert store.work.stats("env-7").waiting == 2
        claimed = store.work.claim("env-7", lambda _: "token", str.upper, reclaim_seconds=5.0)
        assert claimed is not None
        item = claimed[0]
        store.work.acknowledge("env-7", item.id, None)
        store.work.heartbeat("env-7", item.id, None, lambda _: True, seconds=1)
        assert store.work.holder(item.id, "TOKEN")
        assert store.work.note_shown(item.id, "TOKEN", 7)
        store.work.stop("env-7", item.id, None, force=True, given_up=True)
        for environment in ("env-7", None):
            assert store.work_ends.due(environment) == [(item.id, item.session_id)]
        assert store.work_ends.settle(item.id, item.session_id)
        _assert_no_scan(database, noted)


def _assert_no_scan(database: Database, noted: Statements, *, along: Sequence[str] = ()) -> None:
    found = scans(database, noted, along=along)
    assert not found, "\n\n".join(f"{words}\n{plan}" for words, plan in found.items())
