"""Makes the translator of a run for clients of the Managed Agents API, from what is stored of its session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app.agent.messaging import TOOLS
from app.conversation.managed_events import is_self_hosted
from app.managed.coordinator_translator import CoordinatorTranslator
from app.managed.event_threads import thread_named
from app.managed.files.session_files import SessionFiles
from app.managed.policies import Policies
from app.managed.rosters import member_of, members_of
from app.managed.session_translator import SessionTranslator
from app.managed.skills.session_skills import SessionSkills
from app.managed.thread_translator import ThreadTranslator
from app.managed.usage import Spent, spent_of
from app.managed_ids import number_in
from app.store.call_decisions import Decided
from app.store.managed_sessions import ManagedSession
from app.store.store import Store
from app.store.told_events import Told

Json = dict[str, Any]


class Translators:
    """Any thread may call it."""

    def __init__(self, store: Store, files: SessionFiles, skills: SessionSkills) -> None:
        self._store = store
        self._files = files
        self._skills = skills

    def of(self, key: str) -> Callable[[], SessionTranslator] | None:
        """The maker of a run's translator, by the key of its team; None for the team of an agent file."""
        number = number_in("sesn", key)
        return None if number is None else partial(self._make, str(number))

    def _make(self, session_id: str) -> SessionTranslator:
        """Once for each run, and again where another process goes on with it."""
        store = self._store
        found = store.managed.get(session_id, owner=None)
        agent, calls = found.settings["agent"], store.told.open_calls(session_id)
        if not members_of(agent):
            return SessionTranslator(*self._parts(found, calls))
        ledger = store.journal.ledger(session_id)
        decided = partial(store.decisions.of, session_id)
        asked = {call: event for call, event in calls.items() if thread_named(event)}
        return CoordinatorTranslator(
            *self._parts(found, {call: event for call, event in calls.items() if call not in asked}),
            asked=asked,
            thread_of=partial(_thread_translator, store, agent, decided),
            quiet=[call.id for call in ledger.values() if call.name in TOOLS],
        )

    def _parts(self, found: ManagedSession, asked: Mapping[str, Told]) -> tuple[Any, ...]:
        """The arguments of a session's translator; `asked` are the calls that its primary thread is idle for."""
        store, session_id = self._store, found.session.id
        prepare, outputs = _no_errors, _nothing
        if found.session.working_dir and not is_self_hosted(
            found.settings
        ):  # else workers have its directory
            prepare = partial(self._prepared, found)
            outputs = partial(self._files.capture, found.session)
        return (
            session_id,
            found.settings["agent"],
            store.told.last_place(session_id),
            spent_of(found),
            partial(store.told.waiting, session_id),
            partial(store.decisions.of, session_id),
            asked,
            Policies.of_session(found.settings),
            prepare,
            outputs,
            partial(store.told.find, session_id),
            found.environment_id if is_self_hosted(found.settings) else "",
            partial(store.told.open_work, session_id),
            partial(store.told.last_place, session_id),
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


def _thread_translator(
    store: Store,
    agent: Mapping[str, Any],
    decided: Callable[[Sequence[str]], Mapping[str, Decided]],
    session_id: str,
    key_and_name: str,
    asked: Mapping[str, Told],
) -> ThreadTranslator:
    """`agent` is the one that has the roster; `decided` finds the decisions of clients, all of which the session
    has."""
    found = key_and_name or store.sessions.get(session_id).agent
    member, last = member_of(agent, found.partition("/")[2]), store.told.last_place(session_id)
    return ThreadTranslator(
        session_id,
        member,
        last,
        Spent(),
        lambda: (),
        decided,
        asked,
        Policies(member["tools"]),
        _no_errors,
        _nothing,
        partial(store.told.find, session_id),
        "",
        partial(store.told.open_work, session_id),
        partial(store.told.last_place, session_id),
    )


def _no_errors() -> Sequence[Json]:
    return ()


def _no_budget() -> None:
    return None


def _nothing() -> None:
    pass
