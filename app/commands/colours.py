"""Whether the commands colour what they write."""

from __future__ import annotations

from collections.abc import Mapping


def wants_colours(environment: Mapping[str, str]) -> bool | None:
    """None: on a terminal. `NO_COLOR` counts more than `FORCE_COLOR`; a dumb terminal shows none."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return False if environment.get("TERM") == "dumb" else None
