"""Brakes that all processes share: until when a key of a model's API is to be left alone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from app.store.advisory_locks import take_turns
from app.store.clock import now
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.tables import brakes

FIRST_SECONDS: Final = 0.5
"""The first hold, if the API names no time. It doubles each time that the API refuses again soon after."""

MAX_SECONDS: Final = 60.0
SOON_SECONDS: Final = 60.0
FORGOTTEN_SECONDS: Final = 86_400.0

_KEY: Final = brakes.c.key == bindparam("brake")
_LEFT: Final = Prepared(select((brakes.c.held_until - now()).label("left")).where(_KEY))
_FOUND: Final = Prepared(select((brakes.c.held_until - now()).label("left"), brakes.c.steps).where(_KEY))
_FORGET: Final = Prepared(delete(brakes).where(brakes.c.held_until < now() - FORGOTTEN_SECONDS))
_held: Final = {"held_until": now() + bindparam("seconds"), "steps": bindparam("times")}
_ADD: Final = Prepared(insert(brakes).values(key=bindparam("brake"), **_held))
_CHANGE: Final = Prepared(update(brakes).where(_KEY).values(**_held))


class BrakeStore:
    """Keys are digests. Times are the database's."""

    def __init__(self, database: Database, looking: Database) -> None:
        """`looking` is for reads alone: they come now and then, in the middle of a run, and take no connection from its
        transactions."""
        self._database = database
        self._looking = looking

    def seconds_left(self, key: str) -> float:
        """How long the key is still held; 0 if it is free. StoreUnavailable."""
        with self._looking.glance() as connection:
            return max(float(_LEFT.scalar(connection, {"brake": key}) or 0.0), 0.0)

    def press(self, key: str, seconds: float | None) -> float:
        """Holds the key for `seconds`, at most MAX_SECONDS, or as long as it takes by experience. A hold is never
        shortened. Returns how long it is held from now on. StoreUnavailable."""
        with self._database.writing() as connection:
            take_turns(connection, f"brake {key}")
            _FORGET.run(connection)
            found = _FOUND.first(connection, {"brake": key})
            left, steps = (float(found.left), int(found.steps)) if found is not None else (-SOON_SECONDS, 0)
            if left <= -SOON_SECONDS:
                steps = 0
            elif left <= 0:
                steps += 1
            wanted = seconds
            if wanted is None:
                wanted = FIRST_SECONDS * 2 ** min(steps, 20) if left <= 0 else left
            held = max(left, min(wanted, MAX_SECONDS))
            change = _ADD if found is None else _CHANGE
            change.run(connection, {"brake": key, "seconds": held, "times": steps})
            return max(held, 0.0)
