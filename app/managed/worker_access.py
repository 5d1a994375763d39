"""What a worker that has a session's item of work may use, besides the session itself: its skills and its memory
stores. Requests with another token are judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import Forbidden, NotFound
from app.managed.memory.attached_stores import attached_to
from app.store.managed_sessions import ManagedSessions
from app.web.item_tokens import shown_item


class WorkerAccess:
    """Any thread may ask."""

    def __init__(self, sessions: ManagedSessions) -> None:
        self._sessions = sessions

    def require_skill(self, skill_id: str) -> None:
        """NotFound for one that the session does not have."""
        settings = self._settings()
        if settings is not None and all(one["skill_id"] != skill_id for one in settings["agent"]["skills"]):
            raise NotFound("Skill not found.")

    def require_store(self, store_id: str, *, writes: bool = False) -> None:
        """NotFound for a memory store that the session does not have; Forbidden to change one that it may only read."""
        settings = self._settings()
        if settings is None:
            return
        kept = next((one for one in attached_to(settings) if one["memory_store_id"] == store_id), None)
        if kept is None:
            raise NotFound("Memory store not found.")
        if writes and kept["access"] == "read_only":
            raise Forbidden("The session may only read this memory store.")

    def _settings(self) -> Mapping[str, Any] | None:
        """The settings of the item's session; None for a token of another kind."""
        item = shown_item()
        if item is None:
            return None
        found = self._sessions.settings(item.session)
        if found is None:
            raise NotFound("Session not found.")
        return found[0]
