"""Requests that act on a session's turns: do the last one again, sum up what they have said, pause before the
next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.conversation.run import COMPACTION, RETRIES, Answer
from app.errors import NothingToAnswer, NothingToCompact, NothingToRetry
from app.runtime.live_run import LiveRun
from app.runtime.manager import RuntimeManager
from app.runtime.run_control import RunControl
from app.store.idempotency import KeyUse
from app.store.run_request import RunRequest
from app.store.store import Store


class TurnControl:
    """Shared by all request threads."""

    def __init__(self, store: Store, manager: RuntimeManager, control: RunControl) -> None:
        self._store = store
        self._control = control
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
        options = {"started_by": by, RETRIES: failed.options.get(RETRIES, failed.id)}
        request = self._request(session_id, failed.agent, options, visible_to, headers)
        return self._manager.start(replace(request, retrying=failed.id, idempotency=idempotency))

    def compact(
        self,
        session_id: str,
        words: str,
        *,
        by: str,
        visible_to: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> LiveRun:
        """Starts a run in which the agent that was last at work, or that a copy or a task was given to, sums up the
        conversation; `words` are for its model. NothingToCompact, and what `RuntimeManager.start` raises."""
        last = self._store.runs.last_turn(session_id)
        session = self._store.sessions.get(session_id)
        agent = last.agent if last is not None else session.handed_to or session.agent
        if not agent:
            raise NothingToCompact()
        options = {"started_by": by, COMPACTION: words}
        return self._manager.start(self._request(session_id, agent, options, visible_to, headers))

    def toggle_pause(self, session_id: str, *, by: str, name: str = "") -> bool:
        """Whether the session's run, or its next one, is paused from now on: it waits before its next model call, until
        this is called again. Waiting takes no thread of a request. SessionNotFound; SessionBusy for a task that
        another session's run does; to go on with a run whose process is gone, also what `RunControl.answer` raises."""
        while True:
            with suppress(NothingToAnswer):
                self._control.answer(session_id, Answer("resume", by=by), kinds=("pause",), name=name)
                return False
            if (paused := self._store.pauses.toggle(session_id)) is not None:
                return paused

    def _request(
        self,
        session_id: str,
        agent: str,
        options: Mapping[str, Any],
        visible_to: str | None,
        headers: Mapping[str, str] | None,
    ) -> RunRequest:
        """A run of that agent ("key/name"), without messages."""
        key, _, name = agent.partition("/")
        return RunRequest(
            session_id=session_id,
            key=key,
            name=name or None,
            visible_to=visible_to,
            options=options,
            headers=headers or {},
        )
