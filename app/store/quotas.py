"""Limits of a session's and a name's spending and runs, checked and counted in the transactions of all stores.

Everything is on the account of whoever owns the session, also when an operator acts on it. Sessions that belong
to nobody have no account, only what the session itself may cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Executable, Text, bindparam, cast, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from app.conversation.session import Session
from app.errors import BudgetReached, TooManyRuns
from app.store.advisory_locks import take_turns
from app.store.clock import now, today
from app.store.joined_writes import Write
from app.store.prepared_statements import Prepared
from app.store.row_mapping import Row
from app.store.tables import (
    IS_LIVE,
    runs,
    sessions,
    spending,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is no limit. Budgets are in dollars; `owner_budget` is for a day, in UTC. `memory_bytes` counts all versions in
    the memory stores of one name, `objects_per_owner` what it has defined of one kind, archived ones too."""

    runs_per_owner: int = 0
    session_bytes: int = 0
    session_budget: float = 0.0
    owner_budget: float = 0.0
    memory_bytes: int = 0
    objects_per_owner: int = 0


NO_LIMITS: Final = Limits()


def check_budget(connection: Connection, session: Row | Session, limits: Limits) -> None:
    """The same within a transaction. Asks the database nothing where there is no limit."""
    limit = session_limit(session, limits)
    if limit and (spent := cost_of_session(connection, session.id)) >= limit:
        raise BudgetReached(
            f"This session may cost {_dollars(limit)} and has cost {_dollars(spent)}. An operator can raise its "
            "budget.",
            budget="session",
            limit=limit,
            spent=spent,
        )
    limit = owner_limit(session, limits)
    if limit and (spent := cost_of_today(connection, session.owner)) >= limit:
        raise BudgetReached(
            f"The sessions of {session.owner} may cost {_dollars(limit)} a day and have cost {_dollars(spent)} "
            "since midnight, UTC.",
            budget="token",
            limit=limit,
            spent=spent,
        )


def session_limit(session: Row | Session, limits: Limits) -> float:
    return limits.session_budget if session.budget is None else float(session.budget)


def owner_limit(session: Row | Session, limits: Limits) -> float:
    return limits.owner_budget if session.owner else 0.0


def check_runs(connection: Connection, session: Row, limits: Limits) -> None:
    """TooManyRuns if the session's owner has as many runs at work as he may. In the claim's transaction, behind
    the lock on the session: until it ends, no other claim of that owner can count, in whatever process."""
    if limits.runs_per_owner and session.owner:
        take_turns(connection, session.owner)
        count_runs(connection, session, limits)


def count_runs(connection: Connection, session: Row, limits: Limits) -> None:
    """TooManyRuns as things stand now; another claim may count the same a moment later."""
    owner = session.owner
    if not limits.runs_per_owner or not owner:
        return
    if _LIVE_RUNS.scalar(connection, {"owner": owner, "session_id": session.id}) >= limits.runs_per_owner:
        raise TooManyRuns(
            f"{owner} has {limits.runs_per_owner} runs at work, which is as many as may be; wait until one ends"
        )


def spend(connection: Connection, session_id: str, cost: float) -> None:
    """Adds to what the owner of the session has spent today. The last lock that a transaction takes."""
    for write in spending_on(connection.dialect.name, session_id, cost):
        write.do(connection)


def spending_on(kind: str, session_id: str, cost: float) -> list[Write]:
    """The write of the same, if there is a cost, for a `kind` of database."""
    return [Write(_SPEND[kind], [{"here": session_id, "spent": cost}])] if cost > 0 else []


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


def cost_of_session(connection: Connection, session_id: str) -> float:
    return float(_TREE_COST.scalar(connection, {"root": session_id}) or 0.0)


def cost_of_today(connection: Connection, owner: str) -> float:
    return float(_COST_OF_TODAY.scalar(connection, {"owner": owner}) or 0.0)


def _tree_cost() -> Executable:
    """A delegated task has a session of its own below the one that it was delegated from."""
    tree = select(sessions.c.id, sessions.c.cost).where(sessions.c.id == bindparam("root"))
    whole = tree.cte("tree", recursive=True)
    below = select(sessions.c.id, sessions.c.cost).join(whole, sessions.c.parent_id == whole.c.id)
    return select(func.sum(whole.union_all(below).c.cost))


def _spend(insert_of_dialect: Callable[[Any], Any]) -> Executable:
    chosen = select(sessions.c.owner, today(), cast(bindparam("spent"), spending.c.cost.type)).where(
        sessions.c.id == bindparam("here"), sessions.c.owner != literal("", Text)
    )
    statement = insert_of_dialect(spending).from_select(["owner", "day", "cost"], chosen)
    upsert: Executable = statement.on_conflict_do_update(
        index_elements=["owner", "day"], set_={"cost": spending.c.cost + statement.excluded.cost}
    )
    return upsert


_LIVE_RUNS: Final = Prepared(
    select(func.count())
    .select_from(runs.join(sessions, runs.c.session_id == sessions.c.id))
    .where(
        sessions.c.owner == bindparam("owner"),
        runs.c.session_id
        != bindparam("session_id"),  # what it still has is a dead run, which the claim closes
        IS_LIVE,
        # a run that waits for a person needs no lease; one that works and has none any more is dead
        or_(runs.c.status != "running", runs.c.lease_expires_at >= now()),
    )
)
_COST_OF_TODAY: Final = Prepared(
    select(spending.c.cost).where(spending.c.owner == bindparam("owner"), spending.c.day == today())
)
_TREE_COST: Final = Prepared(_tree_cost())
_SPEND: Final = {
    "sqlite": Prepared(_spend(sqlite.insert)),
    "postgresql": Prepared(_spend(postgresql.insert)),
}
