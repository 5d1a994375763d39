"""Times as the Managed Agents API tells them: RFC 3339 in UTC, with microseconds."""

from __future__ import annotations

from typing import Any, Protocol

from app.web.response_json import time_text

Json = dict[str, Any]


class Dated(Protocol):
    """Times are seconds since the epoch."""

    @property
    def created_at(self) -> float: ...

    @property
    def updated_at(self) -> float: ...

    @property
    def archived_at(self) -> float | None: ...


def times_json(found: Dated) -> Json:
    return {
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
        "archived_at": moment(found.archived_at),
    }


def moment(seconds: float | None) -> str | None:
    return None if seconds is None else time_text(seconds, whole=False)
