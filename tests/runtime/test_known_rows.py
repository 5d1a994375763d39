"""Rows that a run knows already: what is said to it meanwhile is not missed, by whatever process it came."""

from __future__ import annotations

import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.conversation.blocks import text_block
from app.conversation.queued_message import QueuedMessage
from app.runtime import known_rows
from app.store.engine import Database
from app.store.store import Store
from tests.harness.models import ScriptedModel, said
from tests.harness.process import eventually
from tests.harness.sqlite import sqlite_in
from tests.runtime.conftest import Agents, Manage
from tests.runtime.loops import PATIENCE, said_by_user, say
from tests.store.actors import new_session


def _queue(store: Store, session_id: str, text: str, kind: Any = "followup") -> None:
    store.queue.add(
        [QueuedMessage(uuid.uuid4().hex, session_id, kind, (text_block(text),), 1.0, "ann")], needs_run=True
    )


def _after(store: Store, place: str, work: Any) -> None:
    """Does the work once, right behind the first use of a store's method, before its caller goes on."""
    part_name, method = place.split(".")
    part: Any = getattr(store, part_name)
    real = getattr(part, method)

    def then(*arguments: Any, **options: Any) -> Any:
        done = real(*arguments, **options)
        setattr(part, method, real)
        work()
        return done

    setattr(part, method, then)


@pytest.mark.parametrize("kind", ["steer", "followup"])
def test_a_message_that_comes_right_behind_a_turn_enters_the_same_run(
    store: Store, manage: Manage, agents: Agents, kind: str
) -> None:
    runtime, session = manage(agents(ScriptedModel(said("one"), said("two")))), new_session(store)
    _after(store, "journal.add_turn", lambda: _queue(store, session.id, "more", kind))
    live = say(runtime, session.id)
    assert live.finished.wait(PATIENCE)
    assert said_by_user(store, session.id)[1:] == ["more"]
    assert {row.id for row in store.runs.recent(session_id=session.id)} == {live.run.id}


def test_a_steer_that_comes_while_a_run_begins_is_heard_in_its_first_turn(
    store: Store, manage: Manage, agents: Agents
) -> None:
    model = ScriptedModel(said("one"))
    runtime, session = manage(agents(model)), new_session(store)
    _after(store, "reads.opening", lambda: _queue(store, session.id, "at once", "steer"))
    assert say(runtime, session.id).finished.wait(PATIENCE)
    assert "at once" in str(model.requests[0])


def test_a_message_by_another_process_right_behind_the_last_turn_is_answered(
    store: Store, manage: Manage, agents: Agents, tmp_path: Path
) -> None:
    runtime, session = manage(agents(ScriptedModel(said("one"), said("two")))), new_session(store)
    with closing(Database(sqlite_in(tmp_path))) as database:
        other = Store(database, lease_seconds=30.0)
        _after(store, "journal.add_turn", lambda: _queue(other, session.id, "more"))
        live = say(runtime, session.id)
        assert live.finished.wait(PATIENCE)

        def roles() -> list[str]:
            return [row.role for row in store.sessions.messages(session.id)]

        eventually(lambda: roles() == ["user", "assistant"] * 2, "a run of its own answers it")
    assert said_by_user(store, session.id)[1:] == ["more"]


def test_what_is_known_for_long_is_looked_at_again(
    store: Store, manage: Manage, agents: Agents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_rows, "NEW_SECONDS", 0.0)
    runtime, session = manage(agents(ScriptedModel(said("one"), said("two")))), new_session(store)
    with closing(Database(sqlite_in(tmp_path))) as database:
        other = Store(database, lease_seconds=30.0)
        _after(store, "journal.add_turn", lambda: _queue(other, session.id, "more"))
        live = say(runtime, session.id)
        assert live.finished.wait(PATIENCE)
    assert said_by_user(store, session.id)[1:] == ["more"]
    assert {row.id for row in store.runs.recent(session_id=session.id)} == {live.run.id}
