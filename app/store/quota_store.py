"""The limits of a session and a name: runs at the same time, requests in a minute, and dollars.

Everything is on the account of whoever owns the session, also when an operator acts on it. Sessions that belong
to nobody have no account, only what the session itself may cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Executable,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.errors import BudgetReached, TooManyRuns
from app.store.engine import Database, ago, now, today
from app.store.prepared_statements import Prepared, Row
from app.store.pruning import drop
from app.store.session_store import find_session
from app.store.tables import IS_LIVE, request_allowances, runs, sessions, spending

KEEP_DAYS: Final = 366
MINUTE: Final = 60.0
TOLERANCE: Final = 1e-6  # seconds; what rounding may cost must not be a request


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is no limit. Budgets are in dollars; `owner_budget` is for a day, in UTC."""

    runs_per_owner: int = 0
    session_bytes: int = 0
    session_budget: float = 0.0
    owner_budget: float = 0.0


NO_LIMITS: Final = Limits()


class QuotaStore:
    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self.limits = limits

    def check_budget(self, session_id: str) -> None:
        """BudgetReached if no more may be spent on this session now; SessionNotFound."""
        with self._database.glance() as connection:
            check_budget(connection, find_session(connection, session_id), self.limits)

    def has_budget(self, session_id: str) -> bool:
        """Whether anything limits what this session may cost, its owner's budget among it; SessionNotFound."""
        with self._database.glance() as connection:
            session = find_session(connection, session_id)
        return bool(_session_limit(session, self.limits) or _owner_limit(session, self.limits))

    def spent(self, session_id: str) -> float:
        """The cost of the session, with the tasks that were delegated from it."""
        with self._database.reading() as connection:
            return _cost_of_session(connection, session_id)

    def take_requests(self, owner: str, wanted: int, *, per_minute: int) -> tuple[int, float]:
        """How many of so many requests the name may make now, over all processes; and if none, the seconds after
        which it may make one. Its allowance holds a minute's requests and fills evenly."""
        each = MINUTE / per_minute
        with self._database.writing() as connection:
            self._database.take_turns(connection, f"requests of {owner}")
            row = _ALLOWANCE.first(connection, {"name": owner})
            full_at = max(row.now, row.full_at or 0.0)
            taken = min(wanted, int((row.now + MINUTE - full_at + TOLERANCE) / each))
            if taken < 1:
                return 0, full_at + each - row.now - MINUTE
            values = {"name": owner, "at": full_at + taken * each}
            change = _ADD_ALLOWANCE if row.full_at is None else _SET_ALLOWANCE
            change.run(connection, values)
            return taken, 0.0

    def prune(self) -> tuple[int, int]:
        """Drops allowances that are whole again, and what was spent long ago. Returns how many of each."""
        allowances = drop(self._database, request_allowances, request_allowances.c.full_at < ago(0))
        oldest_kept = select(today() - KEEP_DAYS).scalar_subquery()
        return allowances, drop(self._database, spending, spending.c.day < oldest_kept)


def check_budget(connection: Connection, session: Row, limits: Limits) -> None:
    """The same within a transaction. Asks the database nothing where there is no limit."""
    limit = _session_limit(session, limits)
    if limit and (spent := _cost_of_session(connection, session.id)) >= limit:
        raise BudgetReached(
            f"This session may cost {_dollars(limit)} and has cost {_dollars(spent)}. An operator can raise its "
            "budget.",
            budget="session",
            limit=limit,
            spent=spent,
        )
    limit = _owner_limit(session, limits)
    if limit and (spent := _cost_of_today(connection, session.owner)) >= limit:
        raise BudgetReached(
            f"The sessions of {session.owner} may cost {_dollars(limit)} a day and have cost {_dollars(spent)} "
            "since midnight, UTC.",
            budget="token",
            limit=limit,
            spent=spent,
        )


def _session_limit(session: Row, limits: Limits) -> float:
    return limits.session_budget if session.budget is None else float(session.budget)


def _owner_limit(session: Row, limits: Limits) -> float:
    return limits.owner_budget if session.owner else 0.0


def check_runs(database: Database, connection: Connection, session: Row, limits: Limits) -> None:
    """TooManyRuns if the session's owner has as many runs at work as he may. In the claim's transaction, behind
    the lock on the session: until it ends, no other claim of that owner can count, in whatever process."""
    if limits.runs_per_owner and session.owner:
        database.take_turns(connection, session.owner)
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
    if cost > 0:
        _SPEND[connection.dialect.name].run(connection, {"here": session_id, "spent": cost})


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


def _cost_of_session(connection: Connection, session_id: str) -> float:
    return float(_TREE_COST.scalar(connection, {"root": session_id}) or 0.0)


def _cost_of_today(connection: Connection, owner: str) -> float:
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
_ALLOWANCE: Final = Prepared(
    select(
        now().label("now"),
        select(request_allowances.c.full_at)
        .where(request_allowances.c.owner == bindparam("name"))
        .scalar_subquery()
        .label("full_at"),
    )
)
_ADD_ALLOWANCE: Final = Prepared(
    insert(request_allowances).values(owner=bindparam("name"), full_at=bindparam("at"))
)
_SET_ALLOWANCE: Final = Prepared(
    update(request_allowances)
    .where(request_allowances.c.owner == bindparam("name"))
    .values(full_at=bindparam("at"))
)
_COST_OF_TODAY: Final = Prepared(
    select(spending.c.cost).where(spending.c.owner == bindparam("owner"), spending.c.day == today())
)
_TREE_COST: Final = Prepared(_tree_cost())
_SPEND: Final = {
    "sqlite": Prepared(_spend(sqlite.insert)),
    "postgresql": Prepared(_spend(postgresql.insert)),
}
