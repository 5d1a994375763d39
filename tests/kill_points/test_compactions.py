"""F24: a server dies right after each of its writes while it compacts, and the session goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.chaos.invariants import broken_promises
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.kill_points.doomed import Doom
from tests.kill_points.nursery import Nursery

MOST_WRITES = 30
WINDOW = 3_000


@pytest.fixture
def small_window() -> Iterator[OfflineServer]:
    """A model that refuses what a compaction would have made shorter."""
    with OfflineServer(windows={"claude-sonnet-5-5": WINDOW}) as stand_in:
        yield stand_in
        assert stand_in.violations == []


@pytest.fixture
def restarted(directory: Path, small_window: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(directory, small_window.url, database_url=database_url))
    yield built
    built.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_f24_a_server_that_dies_while_it_compacts_leaves_a_session_that_works(
    nursery: Nursery, restarted: Server, small_window: OfflineServer, directory: Path
) -> None:
    client = LocalClient(restarted)
    compacted = []
    for number in itertools.count(1):
        assert number < MOST_WRITES, "the run never survives"
        session = client.new_session()
        client.say(session, "[words 1900]")
        doom = Doom(
            directory=str(directory),
            database_url=restarted.settings.database_url,
            model_url=small_window.url,
            session_id=session,
            text="[say hello]" + "x" * 2000,
            agent="plain",
            at_write=number,
        )
        life = nursery.raise_one(doom)
        before = restarted.store.journal.summary(session)
        assert (before is not None) or "session_summary" not in life.types, "what was told is stored"
        events = client.say(session, "[say still here]")
        client.wait_until_free(session)
        assert [event for event in events if event["type"] == "error"] == []
        after = restarted.store.journal.summary(session)
        assert after is None or after.number == 1, "a compaction that was stored is not made again"
        assert broken_promises(restarted.store, only=session) == []
        compacted.append(before is not None)
        if life.survived:
            break
    assert set(compacted) == {True, False}
