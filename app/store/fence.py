"""The fence before each of a run's writes: whoever has lost the baton changes nothing any more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from app.conversation.run import LIVE, Baton
from app.errors import BatonLost
from app.store.engine import now
from app.store.tables import runs


class WrittenAlready(Exception):
    """This write of the run is in the store; whoever repeats it can go on."""


class Fence:
    """`lease_seconds` is how long a run stays its holder's without a sign of life."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds

    def lease(self) -> ColumnElement[float]:
        """When a lease that is given now will run out."""
        return now() + self._lease_seconds

    def check(self, connection: Connection, baton: Baton) -> None:
        """The beginning of each of a run's transactions: renews the lease, or raises BatonLost. A numbered
        write that is in the store already raises WrittenAlready: it was committed before the connection broke."""
        held = (runs.c.id == baton.run_id) & (runs.c.epoch == baton.epoch) & runs.c.status.in_(LIVE)
        values: dict[str, Any] = {"lease_expires_at": self.lease()}
        due = held
        if baton.write:
            values["writes"] = baton.write
            due = held & (runs.c.writes < baton.write)
        if connection.execute(update(runs).where(due).values(values)).rowcount:
            return
        if baton.write and connection.execute(select(runs.c.id).where(held)).first():
            raise WrittenAlready()
        raise BatonLost()
