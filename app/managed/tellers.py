"""Makes what tells clients of the Managed Agents API of a run, from what is stored of its session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from app.conversation.managed_events import is_self_hosted
from app.door_ids import number_in
from app.managed.files.session_files import SessionFiles
from app.managed.policies import Policies
from app.managed.skills.session_skills import SessionSkills
from app.managed.teller import SessionTeller
from app.managed.usage import spent_of
from app.store.managed_sessions import ManagedSession
from app.store.store import Store

Json = dict[str, Any]


class Tellers:
    """Any thread may call it."""

    def __init__(self, store: Store, files: SessionFiles, skills: SessionSkills) -> None:
        self._store = store
        self._files = files
        self._skills = skills

    def of(self, key: str) -> Callable[[], SessionTeller] | None:
        """What makes a run's teller, by the key of its team; None for the team of an agent file."""
        number = number_in("sesn", key)
        return None if number is None else partial(self._make, str(number))

    def _make(self, session_id: str) -> SessionTeller:
        """Once for each run, and again where another process goes on with it."""
        store = self._store
        found = store.managed.get(session_id, owner=None)
        prepare, outputs = _no_errors, _nothing
        if found.session.working_dir:  # else workers have its directory
            prepare = partial(self._prepared, found)
            outputs = partial(self._files.capture, found.session)
        return SessionTeller(
            session_id,
            found.settings["agent"],
            store.told.last_place(session_id),
            spent_of(found),
            partial(store.told.waiting, session_id),
            partial(store.decisions.of, session_id),
            store.told.open_calls(session_id),
            Policies.of_session(found.settings),
            prepare,
            outputs,
            partial(store.told.find, session_id),
            found.environment_id if is_self_hosted(found.settings) else "",
            partial(self._budget, session_id) if found.settings.get("budget") else _no_budget,
            partial(store.outcomes.active, session_id),
        )

    def _budget(self, session_id: str) -> Json | None:
        settings = self._store.managed.settings(session_id)
        return None if settings is None else settings[0].get("budget")

    def _prepared(self, found: ManagedSession) -> Sequence[Json]:
        """Makes the session's directory ready. Clients are told of these errors. StoreUnavailable."""
        self._skills.prepare(found.session, found.settings)
        return self._files.prepare(found.session)


def _no_errors() -> Sequence[Json]:
    return ()


def _no_budget() -> None:
    return None


def _nothing() -> None:
    pass
