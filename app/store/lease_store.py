"""Leases, renewed through a connection that nothing else uses: a full pool or a long transaction of the same process
holds up no renewal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from app.conversation.run import Baton
from app.store.clock import now
from app.store.engine import Database
from app.store.fence import Fence, Fenced
from app.store.prepared_statements import Prepared

_NOW: Final = Prepared(select(now()))


class LeaseStore:
    """Used by the heartbeat's thread alone. Every method raises StoreUnavailable if the database can't be reached."""

    def __init__(self, database: Database, fence: Fence) -> None:
        """The connection is opened by the first call."""
        self._database = database
        self._fence = fence

    def renew(self, batons: Sequence[Baton]) -> Fenced:
        """Renews these leases in one statement, which waits for no row that another transaction keeps locked."""
        with self._database.writing() as connection:
            return self._fence.renew(connection, batons)

    def reach(self) -> None:
        """Shows that the database answers."""
        with self._database.glance() as connection:
            _NOW.first(connection)
