"""A claim that is withdrawn was never there, whatever it was asked to write."""

from __future__ import annotations

import uuid
from dataclasses import fields
from typing import Any

import pytest

from app.conversation.audit_entry import Requester
from app.conversation.run import Probe
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Session
from app.conversation.transcript import Message, Role
from app.errors import NothingToRetry, SessionBusy
from app.store.audit_notes import requested_by
from app.store.engine import Database
from app.store.idempotency import KeyUse
from app.store.quotas import Limits
from app.store.run_request import RunRequest
from app.store.run_rows import BegunRun
from app.store.store import Store
from tests.harness.rows import all_rows
from tests.store.actors import (
    HERE,
    THERE,
    begin,
    calling,
    everybody_is_gone,
    new_session,
    request,
    seeing,
    states,
    user,
)

KEY = KeyUse("ann", "a-key", "a digest")

WRITES: dict[str, dict[str, Any]] = {
    "messages": {"messages": [user("one"), user("two")]},
    "expected_position": {"expected_position": -1},
    "idempotency": {"idempotency": KEY},
    "model": {"model": "anthropic/another"},
}
"""Writes that a request may want of a claim besides the claim."""

ALWAYS = {"session_id", "key", "name", "visible_to", "replacing", "retrying", "options", "headers"}
"""Fields that say which claim it is, only decide whether it is granted, or lie in the run's own row."""


def claim(
    store: Store,
    session_id: str,
    *,
    probe: Probe | None = None,
    starts_thinking: bool = False,
    policy: SafetyPolicy = "",
    **wanted: Any,
) -> BegunRun:
    """As a request does that is noted in the audit trail."""
    with requested_by(Requester("ann", role="user")):
        return seeing(store, probe).claims.begin(
            uuid.uuid4().hex,
            request(session_id, **wanted),
            agent="plain/root",
            owner=HERE,
            options={"started_by": "ann"},
            starts_thinking=starts_thinking,
            policy=policy,
        )


def test_every_field_of_a_request_is_tried_here() -> None:
    assert {field.name for field in fields(RunRequest)} == ALWAYS | set(WRITES)


@pytest.mark.parametrize("options", [*[[name] for name in WRITES], list(WRITES)], ids="+".join)
def test_a_withdrawn_claim_leaves_no_row(store: Store, options: list[str]) -> None:
    session = new_session(store, owner="ann")
    before = all_rows(store.database)
    given: dict[str, Any] = {}
    for name in options:
        given |= WRITES[name]
    begun = claim(store, session.id, **given)
    assert all_rows(store.database) != before
    store.claims.withdraw(begun)
    assert all_rows(store.database) == before
    store.claims.withdraw(claim(store, session.id, **given))  # as if for the first time


def test_thinking_that_a_withdrawn_claim_has_switched_on_is_off_again(store: Store) -> None:
    session = new_session(store)
    before = all_rows(store.database)
    begun = claim(store, session.id, starts_thinking=True)
    assert store.sessions.get(session.id).thinking
    assert begun.session.thinking
    store.claims.withdraw(begun)
    assert all_rows(store.database) == before


@pytest.mark.parametrize("policy", ["strict", "autonomous"])
def test_a_policy_that_a_withdrawn_claim_has_set_is_gone_again(store: Store, policy: SafetyPolicy) -> None:
    session = new_session(store)
    before = all_rows(store.database)
    begun = claim(store, session.id, policy=policy)
    assert store.sessions.get(session.id).safety_policy == begun.session.safety_policy == policy
    store.claims.withdraw(begun)
    assert all_rows(store.database) == before


def test_a_policy_that_somebody_chooses_meanwhile_outlives_a_withdrawn_claim(store: Store) -> None:
    session = new_session(store)
    begun = claim(store, session.id, policy="autonomous")
    store.sessions.set_policy(session.id, "restricted")
    store.claims.withdraw(begun)
    assert store.sessions.get(session.id).safety_policy == "restricted"


@pytest.mark.parametrize(
    "left", [[("user", "refused")], [("user", ""), ("assistant", "cancelled")]], ids=["refused", "cut"]
)
def test_what_a_withdrawn_retry_has_shown_or_hidden_is_marked_as_before(
    store: Store, left: list[tuple[Role, str]]
) -> None:
    session = new_session(store)
    failed = begin(store, session.id)
    for role, partial in left:
        row = Message(role, user("hello").content, partial=partial)
        store.journal.add_messages(failed.run.baton, session.id, [row])
    store.runs.finish(failed.run.baton, "failed", code="refused")
    before = all_rows(store.database)
    begun = claim(store, session.id, retrying=failed.run.id)
    assert [row.partial for row in store.sessions.messages(session.id)] != [partial for _, partial in left]
    store.claims.withdraw(begun)
    assert all_rows(store.database) == before
    begin(store, session.id, "another one")
    with pytest.raises(SessionBusy):
        claim(store, session.id, retrying=failed.run.id)


def test_a_run_that_another_one_came_after_can_t_be_retried(store: Store) -> None:
    session = new_session(store)
    failed = begin(store, session.id, "hello")
    store.runs.finish(failed.run.baton, "failed", code="internal")
    store.runs.finish(begin(store, session.id, "hello again").run.baton, "failed", code="internal")
    before = all_rows(store.database)
    with pytest.raises(NothingToRetry):
        claim(store, session.id, retrying=failed.run.id)
    assert all_rows(store.database) == before


def test_the_turn_of_a_run_whose_process_died_is_taken_up_by_the_claim_that_closes_it(store: Store) -> None:
    session = new_session(store)
    dead = begin(store, session.id, "hello", owner=THERE)
    store.journal.add_turn(dead.run.baton, session.id, calling("a"), tokens=None)
    store.journal.start_call(dead.run.baton, session.id, "a")
    with pytest.raises(SessionBusy):
        claim(store, session.id, retrying=dead.run.id)
    taken = claim(store, session.id, probe=everybody_is_gone, retrying=dead.run.id)
    assert taken.interrupted is not None
    assert taken.interrupted.id == dead.run.id
    assert [row.role for row in store.sessions.messages(session.id)] == ["user", "assistant", "tool"]
    assert states(store, session.id) == {"a": "unknown"}


def test_a_key_of_a_withdrawn_claim_can_be_used_by_the_retry(store: Store) -> None:
    session = new_session(store)
    store.claims.withdraw(claim(store, session.id, idempotency=KEY))
    assert store.idempotency.outcome(KEY) is None
    begun = claim(store, session.id, idempotency=KEY)
    outcome = store.idempotency.outcome(KEY)
    assert outcome is not None
    assert outcome.run_id == begun.run.id
    store.claims.withdraw(begun)


def test_a_withdrawn_claim_that_closed_a_dead_run_leaves_nothing_of_its_own(store: Store) -> None:
    session = new_session(store)
    begin(store, session.id, "of the dead", owner=THERE)
    given = {name: value for one in WRITES.values() for name, value in one.items()}
    given["expected_position"] = 0
    begun = claim(store, session.id, probe=everybody_is_gone, **given)
    store.claims.withdraw(begun)
    rows = all_rows(store.database)
    assert not [row for table in rows.values() for row in table if begun.run.id in row]
    assert store.sessions.next_event(session.id) == begun.next_event
    assert [run.status for run in store.runs.recent(session_id=session.id)] == ["interrupted"]


def test_a_withdrawn_task_was_never_there(database: Database) -> None:
    store = Store(database, lease_seconds=30.0, limits=Limits(runs_per_owner=5, owner_budget=9.0))
    parent = new_session(store, owner="ann")
    asker = begin(store, parent.id, "give it away")
    before = all_rows(database)
    task = store.background.begin(
        uuid.uuid4().hex,
        Session(str(uuid.uuid4()), 1.0, owner="ann", parent_id=parent.id),
        user("do it"),
        asked_by=asker.run.baton,
        agent="plain/root",
        owner=HERE,
        options={"started_by": "ann"},
    )
    store.background.withdraw(task.run.baton)
    after = all_rows(database)
    before.pop("runs"), after.pop("runs")  # the asker's lease was renewed
    assert after == before
    assert [run.id for run in store.runs.recent(session_id=parent.id)] == [asker.run.id]
