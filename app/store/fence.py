"""The fence before each of a run's writes: a holder that has lost the baton changes nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, func, select, update

from app.conversation.run import LIVE, Baton, Liveness, Owner, Probe
from app.errors import BatonLost
from app.store.bulk_parameters import listed, pair_among
from app.store.clock import now
from app.store.columns import one_of
from app.store.engine import Database
from app.store.joined_writes import Write, is_as_seen, write_at_once
from app.store.prepared_statements import Prepared
from app.store.tables import IS_LIVE, runs


@dataclass(frozen=True, slots=True)
class Fenced:
    """The result of a write for many runs; the ids of the runs. A run in neither set has a row that another
    transaction keeps locked: it is still this holder's, as far as anybody knows, and the next attempt may succeed.
    `quiet` is certain: all are held, and nobody has said anything to one of them."""

    done: frozenset[str]
    lost: frozenset[str]
    quiet: bool = False


class WrittenAlready(Exception):
    """This write of the run is in the store; a caller that repeats it can go on."""


def look_at_leases_alone(_: Owner) -> Liveness:
    """A probe that can see no process."""
    return "unknown"


class Fence:
    """`lease_seconds` is how long a run stays its holder's without a sign of life. `probe` looks for its process."""

    def __init__(self, lease_seconds: float, probe: Probe = look_at_leases_alone) -> None:
        self.lease_seconds = lease_seconds
        self.probe = probe
        held = (runs.c.id == bindparam("run_id")) & (runs.c.epoch == bindparam("held_epoch")) & IS_LIVE
        write: BindParameter[int] = bindparam("write")
        self._held = Prepared(select(runs.c.id).where(held))
        self._renew = Prepared(update(runs).where(held).values(lease_expires_at=self.lease()))
        numbered = update(runs).where(held, runs.c.writes < write)
        self._numbered = Prepared(numbered.values(lease_expires_at=self.lease(), writes=write))
        renewed = update(runs).where(runs.c.id.in_(_FREE)).values(lease_expires_at=self.lease())
        self._renew_many = Prepared(renewed)
        unchanged = update(runs).where(held, is_as_seen(runs))
        self._renew_joined = Prepared(unchanged.values(lease_expires_at=self.lease()))
        numbered = unchanged.where(runs.c.writes < write)
        self._numbered_joined = Prepared(numbered.values(lease_expires_at=self.lease(), writes=write))
        self._renew_and_tell = Prepared(renewed.returning(runs.c.id))

    def lease(self) -> ColumnElement[float]:
        """When a lease that is given now will run out."""
        return now() + self.lease_seconds

    def check(self, connection: Connection, baton: Baton) -> None:
        """The beginning of each of a run's transactions: renews the lease, or raises BatonLost. A numbered
        write that is in the store already raises WrittenAlready: it was committed before the connection broke."""
        values = {"run_id": baton.run_id, "held_epoch": baton.epoch, "write": baton.write}
        statement = self._numbered if baton.write else self._renew
        if statement.run(connection, values):
            for further in baton.told:
                further.do(connection)
            return
        if baton.write and self._held.first(connection, values):
            raise WrittenAlready()
        raise BatonLost()

    def write(self, database: Database, baton: Baton, writes: Sequence[Write]) -> list[Any]:
        """A transaction of a run: its check, and then these writes. What they return. Raises what `check` raises.

        Where writes can be joined, no write sees what one before it has done."""
        if database.joins_writes:
            values = {"run_id": baton.run_id, "held_epoch": baton.epoch, "write": baton.write}
            statement = self._numbered_joined if baton.write else self._renew_joined
            every = [*writes, *baton.told]
            done = write_at_once(database, Write(statement, [values]), every)
            if done is not None:
                return done[1 : len(writes) + 1]
        with database.writing() as connection:
            self.check(connection, baton)
            return [write.do(connection) for write in writes]

    def hold(self, connection: Connection, batons: Sequence[Baton]) -> Fenced:
        """Keeps the runs for the rest of the transaction, as `renew` does, and says whether they are quiet. The leases
        need not be renewed by it: on SQLite, whose transaction keeps everybody else out, that would only be a
        row more to write for each run."""
        quiet = are_quiet(connection, batons)
        if quiet and connection.dialect.name == "sqlite":
            return Fenced(frozenset(baton.run_id for baton in batons), frozenset(), quiet)
        return replace(self.renew(connection, batons), quiet=quiet)

    def renew(self, connection: Connection, batons: Sequence[Baton]) -> Fenced:
        """The same for many runs at once, without an exception, and without waiting for a row that is locked: renews
        the leases of those that still have their session. Their rows stay locked, as by `check`."""
        values = those(batons)
        ids = frozenset(baton.run_id for baton in batons)
        if self._renew_many.run(connection, values) == len(batons):
            return Fenced(ids, frozenset())
        renewed = frozenset(row.id for row in self._renew_and_tell.all(connection, values))
        held = frozenset(row.id for row in _HELD.all(connection, values))  # locked rows, too
        return Fenced(renewed, ids - renewed - held)


def those(batons: Sequence[Baton]) -> dict[str, str]:
    """The parameters of a statement on many runs."""
    return {"those": listed([(baton.run_id, baton.epoch) for baton in batons])}


_run: Final = runs.alias("run")
_FREE: Final = (
    select(_run.c.id)
    .where(pair_among(_run.c.id, _run.c.epoch, "those"), one_of(_run.c.status, LIVE))
    .with_for_update(key_share=True, skip_locked=True)
)
_THEIRS: Final = pair_among(runs.c.id, runs.c.epoch, "those") & IS_LIVE
_HELD: Final = Prepared(select(runs.c.id).where(_THEIRS))
_QUIET: Final = Prepared(
    select(func.count())
    .select_from(runs)
    .where(_THEIRS, runs.c.answer_json.is_(None), runs.c.stop_requested.is_(None))
)
"""How many of those runs are held and asked for nothing. With thousands of rows each row costs more than the search:
the driver gives the interpreter away and waits for it again."""


def are_quiet(connection: Connection, batons: Sequence[Baton]) -> bool:
    """Has nobody said anything to any of these runs, and are all of them still held?"""
    return int(_QUIET.scalar(connection, those(batons))) == len(batons)
