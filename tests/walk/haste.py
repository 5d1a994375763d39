"""Leases and patience of seconds instead of minutes, so that a whole walk is done within an hour."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LEASE_SECONDS: Final = 1.5

SHORTER: Final[dict[str, float]] = {
    "ABANDON_SECONDS": 2.0,
    "BUSY_SECONDS": 1,
    "HEARTBEAT_SECONDS": 0.2,
    "PATIENCE_SECONDS": 1.0,
    "SHORTEST_PATIENCE": 3.0,  # a third of it is what a transaction may be idle, which a busy machine makes long
    "STRANDED_SECONDS": 0.5,
    "SWEEP_SECONDS": 0.5,
}
"""Constants of the server, by their names in whatever module they stand."""


@contextmanager
def haste() -> Iterator[None]:
    """While inside, servers that are built in this process are in a hurry."""
    modules = [module for name, module in sys.modules.items() if name.startswith("app.")]
    former = []
    for name, seconds in SHORTER.items():
        found = [module for module in modules if hasattr(module, name)]
        if not found:
            raise AssertionError(f"the server has no {name} any more: what bounds that wait now?")
        former += [(module, name, getattr(module, name)) for module in found]
        for module in found:
            setattr(module, name, seconds)
    try:
        yield
    finally:
        for module, name, value in former:
            setattr(module, name, value)
