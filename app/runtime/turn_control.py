"""Requests that act on a session's turns: do the last one again."""

from __future__ import annotations

from collections.abc import Mapping

from app.conversation.run import RETRIES
from app.errors import NothingToRetry
from app.runtime.live_run import LiveRun
from app.runtime.manager import RuntimeManager
from app.store.idempotency import KeyUse
from app.store.run_request import RunRequest
from app.store.store import Store


class TurnControl:
    """Shared by all request threads."""

    def __init__(self, store: Store, manager: RuntimeManager) -> None:
        self._store = store
        self._manager = manager

    def retry(
        self,
        session_id: str,
        *,
        by: str,
        visible_to: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency: KeyUse | None = None,
    ) -> LiveRun:
        """Starts a run that goes on where the session's last one failed, by the same agent; nothing is said anew.
        NothingToRetry, and what `RuntimeManager.start` raises."""
        failed = self._store.runs.last_turn(session_id)
        if failed is None or failed.status == "finished":
            raise NothingToRetry()
        key, name = failed.key_and_name
        return self._manager.start(
            RunRequest(
                session_id=session_id,
                key=key,
                name=name or None,
                visible_to=visible_to,
                retrying=failed.id,
                idempotency=idempotency,
                options={"started_by": by, RETRIES: failed.options.get(RETRIES, failed.id)},
                headers=headers or {},
            )
        )
