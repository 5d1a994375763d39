"""The spending of sessions and names, and the requests that a name may make in a minute."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert, select, update

from app.conversation.session import Session
from app.store.advisory_locks import take_turns
from app.store.clock import ago, now, today
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.pruning import drop
from app.store.quotas import Limits, check_budget, cost_of_session, cost_of_today, owner_limit, session_limit
from app.store.session_rows import find_session
from app.store.tables import request_allowances, spending

KEEP_DAYS: Final = 366
MINUTE: Final = 60.0
TOLERANCE: Final = 1e-6  # seconds; what rounding may cost must not be a request


class QuotaStore:
    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self.limits = limits

    def check_budget(self, session_id: str, *, known: Session | None = None) -> None:
        """BudgetReached if no more may be spent on this session now; SessionNotFound. `known`: the session, if it was
        read a moment ago."""
        if (
            known is not None
            and not session_limit(known, self.limits)
            and not owner_limit(known, self.limits)
        ):
            return
        with self._database.glance() as connection:
            check_budget(connection, known or find_session(connection, session_id), self.limits)

    def has_budget(self, session_id: str) -> bool:
        """Whether anything limits what this session may cost, its owner's budget among it; SessionNotFound."""
        with self._database.glance() as connection:
            session = find_session(connection, session_id)
        return bool(session_limit(session, self.limits) or owner_limit(session, self.limits))

    def spent(self, session_id: str) -> float:
        """The cost of the session, with the tasks that were delegated from it."""
        with self._database.reading() as connection:
            return cost_of_session(connection, session_id)

    def spent_today(self, owner: str) -> float:
        """The cost of all sessions of that name since midnight, UTC."""
        with self._database.glance() as connection:
            return cost_of_today(connection, owner)

    def take_requests(self, owner: str, wanted: int, *, per_minute: int) -> tuple[int, float]:
        """How many of so many requests the name may make now, over all processes; and if none, the seconds after
        which it may make one. Its allowance holds a minute's requests and fills evenly."""
        each = MINUTE / per_minute
        with self._database.writing() as connection:
            take_turns(connection, f"requests of {owner}")
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
