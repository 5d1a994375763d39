"""How requests name a version of a skill."""

from __future__ import annotations

import re

from app.managed.id_validation import checked
from app.store.skill_store import LATEST


def checked_version(given: str) -> str:
    """A version's id, its number as older clients write it, or `latest`. InvalidRequest."""
    if given == LATEST or re.fullmatch("[0-9]{1,18}", given):
        return given
    return checked("skill_version", given)
