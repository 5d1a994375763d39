"""Sessions and their transcripts. Each public method is one transaction, named for what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, not_, or_, select, update

from app.conversation.audit_entry import Action
from app.conversation.run import LIVE
from app.conversation.safety import SafetyPolicy
from app.conversation.session import Permissions, Session, SessionSummary
from app.conversation.transcript import Message
from app.errors import SessionNotFound
from app.store.audit_notes import note
from app.store.bulk_parameters import among, listed
from app.store.columns import one_of
from app.store.delegated_sessions import refuse_lent
from app.store.engine import Database
from app.store.idempotency import KeyUse, use_key
from app.store.outbox import announce_deleted
from app.store.prepared_statements import Prepared
from app.store.row_mapping import Row, choices_json, dump_optional, load_optional, message_of, session_of
from app.store.session_rows import (
    ALL_MESSAGES,
    add_session,
    append_messages,
    change_session,
    find_session,
    next_position,
    read_messages,
    set_policy,
)
from app.store.tables import (
    ACTIVE_AT,
    IS_LIVE,
    messages,
    prompts,
    runs,
    sessions,
    tool_states,
)


class SessionStore:
    """`owner` narrows a call to one token's sessions; None means that the caller may see them all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        session: Session,
        *,
        transcript: Sequence[Message] = (),
        key: KeyUse | None = None,
    ) -> None:
        """KeyUsed if `key` stands for another session already."""
        with self._database.writing() as connection:
            add_session(connection, session)
            append_messages(connection, session.id, transcript, None)
            if key is not None:
                use_key(connection, key, session_id=session.id)
            note(connection, "create", session.id)

    def get(self, session_id: str, *, owner: str | None = None) -> Session:
        """SessionNotFound also for a session that belongs to another owner."""
        with self._database.glance() as connection:
            return session_of(find_session(connection, session_id, owner=owner))

    def get_with_messages(
        self, session_id: str, *, owner: str | None = None
    ) -> tuple[Session, list[Message]]:
        """Both as of the same moment."""
        with self._database.reading() as connection:
            session = session_of(find_session(connection, session_id, owner=owner))
            return session, read_messages(connection, session_id)

    def messages(self, session_id: str) -> list[Message]:
        with self._database.glance() as connection:
            return read_messages(connection, session_id)

    def last_position(self, session_id: str) -> int:
        """The position of the session's newest message; -1 if it has none."""
        with self._database.glance() as connection:
            return next_position(connection, session_id) - 1

    def page_of_messages(self, session_id: str, *, first: int, last: int) -> list[Message]:
        """The messages from one position to another, in order."""
        values = {"session_id": session_id, "first": first, "last": last}
        with self._database.glance() as connection:
            return [message_of(row) for row in _PAGE_OF_MESSAGES.all(connection, values)]

    def summaries(
        self,
        *,
        owner: str | None = None,
        limit: int | None = None,
        after: tuple[float, str] | None = None,
        at_work: bool = False,
        by_activity: bool = False,
    ) -> list[SessionSummary]:
        """Root sessions, newest first; from behind the one that was created at that time with that id. `at_work`: only
        those that a run has. `by_activity`: the time of the last activity counts, in the order and in `after`."""
        time = ACTIVE_AT if by_activity else sessions.c.created_at
        query = select(
            sessions, ACTIVE_AT.label("active"), _COUNT.label("num_messages"), _STATUS, _LAST_AGENT
        )
        query = query.where(sessions.c.parent_id.is_(None))
        if at_work:
            query = query.where(sessions.c.id.in_(select(runs.c.session_id).where(IS_LIVE)))
        if owner is not None:
            query = query.where(sessions.c.owner == owner)
        if after is not None:
            moment, session_id = after
            query = query.where(
                time <= moment,  # an index can begin there
                or_(time < moment, and_(time == moment, sessions.c.id > session_id)),
            )
        query = query.order_by(time.desc(), sessions.c.id).limit(limit)
        with self._database.reading() as connection:
            return [_summary(row) for row in connection.execute(query)]

    def tasks(self, session_id: str) -> list[Session]:
        """The sessions of the tasks that were given away in this one, in the order in which they were."""
        query = select(sessions).where(sessions.c.parent_id == session_id)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(sessions.c.created_at, sessions.c.id))
            return [session_of(row) for row in found]

    def any(self, *, owner: str | None = None) -> bool:
        """Is there a session at all?"""
        query = select(sessions.c.id).where(sessions.c.parent_id.is_(None)).limit(1)
        if owner is not None:
            query = query.where(sessions.c.owner == owner)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def delete(self, session_id: str) -> None:
        """The session and all that belongs to it. SessionBusy for that of a task, while the run that gave it is at
        work."""
        with self._database.writing() as connection:
            refuse_lent(connection, find_session(connection, session_id))
            # A run that is writing holds its own row and wants its session's: wait for it in that order.
            _LOCK_RUNS.all(connection, {"here": session_id})
            announce_deleted(connection, session_id)
            if not _DELETE.run(connection, {"here": session_id}):
                raise SessionNotFound()
            note(connection, "delete", session_id)

    def missing(self, session_ids: Sequence[str]) -> set[str]:
        """The ids of the sessions that are not there, or not any more."""
        if not session_ids:
            return set()
        with self._database.glance() as connection:
            return set(session_ids) - {
                row.id for row in _THERE.all(connection, {"those": listed(session_ids)})
            }

    def set_title(self, session_id: str, title: str, *, if_empty: bool = False) -> bool:
        """False if the title was to be set only on an untitled session, and it has one."""
        with self._database.writing() as connection:
            query = _SET_FIRST_TITLE if if_empty else _SET_TITLE
            if not query.run(connection, {"here": session_id, "title": title}):
                return False
            note(connection, "rename", session_id)
            return True

    def set_permissions(self, session_id: str, permissions: Permissions | None) -> None:
        said = str(permissions or "")
        self._update(session_id, "permissions", said, permissions_json=dump_optional(permissions))

    def set_policy(self, session_id: str, policy: SafetyPolicy) -> None:
        """It counts from the next tool call on."""
        with self._database.writing() as connection:
            if not set_policy(connection, session_id, policy):
                raise SessionNotFound()
            note(connection, "safety_policy", session_id, detail=policy or "default")

    def set_starred(self, session_id: str, starred: bool) -> None:
        self._update(session_id, "star", "on" if starred else "off", starred=starred)

    def set_tokens(self, session_id: str, read: int, written: int) -> None:
        """Sets the tokens that are shown for the last model call; the session's cost stays as it is."""
        self._update(session_id, "tokens", f"{read} {written}", input_tokens=read, output_tokens=written)

    def set_budget(self, session_id: str, budget: float | None) -> None:
        """In dollars; None: as in the settings, 0: no limit."""
        said = "default" if budget is None else f"${budget}"
        self._update(session_id, "budget", said, budget=budget)

    def toggle_tools_approved(self, session_id: str) -> None:
        self._toggle(session_id, "toggle_tools")

    def toggle_thinking(self, session_id: str) -> None:
        self._toggle(session_id, "toggle_thinking")

    def choose(
        self,
        session_id: str,
        change: Callable[[Session], Session],
        action: Action,
        detail: Callable[[Session], str],
    ) -> Session:
        """The session with the model, the thinking and the choices that `change` gives it; it counts from the next run
        on. An exception of `change` leaves all as it was."""
        with self._database.writing() as connection:
            changed = change(session_of(find_session(connection, session_id, lock=True)))
            change_session(
                connection,
                session_id,
                model=changed.model,
                thinking=changed.thinking,
                choices_json=choices_json(changed.choices),
            )
            note(connection, action, session_id, detail=detail(changed))
            return changed

    def refuse_lent(self, session_id: str) -> None:
        """SessionBusy for the session of a task, while the run that gave it away does it."""
        with self._database.writing() as connection:
            refuse_lent(connection, find_session(connection, session_id, lock=True))

    def tool_definitions(self, session_id: str) -> dict[str, list[dict[str, Any]]]:
        """The tools as readers are told of them, by the digest of the prompt that offered them."""
        query = select(prompts.c.digest, prompts.c.definitions_json).where(prompts.c.session_id == session_id)
        with self._database.reading() as connection:
            return {digest: load_optional(text) for digest, text in connection.execute(query)}

    def tool_states(self, session_id: str) -> dict[str, Any]:
        """The state that the session's toolsets left for the next run, by key."""
        with self._database.glance() as connection:
            rows = _TOOL_STATES.all(connection, {"session_id": session_id})
            return {key: load_optional(text) for key, text in rows}

    def next_event(self, session_id: str) -> int:
        """No event of the session was sent with this number or a higher one, as far as the store knows."""
        with self._database.glance() as connection:
            return int(find_session(connection, session_id).next_event)

    def _update(self, session_id: str, action: Action, detail: str = "", /, **values: Any) -> None:
        with self._database.writing() as connection:
            if not change_session(connection, session_id, **values):
                raise SessionNotFound()
            note(connection, action, session_id, detail=detail)

    def _toggle(self, session_id: str, action: Action) -> None:
        with self._database.writing() as connection:
            if not _TOGGLE[action].run(connection, {"here": session_id}):
                raise SessionNotFound()
            note(connection, action, session_id)


_here: Final = sessions.c.id == bindparam("here")
_SET_TITLE: Final = Prepared(update(sessions).where(_here), columns=["title"])
_SET_FIRST_TITLE: Final = Prepared(update(sessions).where(_here, sessions.c.title == ""), columns=["title"])
_TOGGLE: Final[dict[Action, Prepared]] = {
    "toggle_tools": Prepared(
        update(sessions).where(_here).values(tools_approved=not_(sessions.c.tools_approved))
    ),
    "toggle_thinking": Prepared(update(sessions).where(_here).values(thinking=not_(sessions.c.thinking))),
}
_LOCK_RUNS: Final = Prepared(
    select(runs.c.id)
    .where(
        runs.c.session_id.in_(
            select(sessions.c.id).where(or_(_here, sessions.c.parent_id == bindparam("here")))
        )
    )
    .with_for_update(key_share=True)
)
"""The runs of the session, and of the sessions below it."""

_DELETE: Final = Prepared(delete(sessions).where(_here))
_THERE: Final = Prepared(select(sessions.c.id).where(among(sessions.c.id, "those")))
_PAGE_OF_MESSAGES: Final = Prepared(
    ALL_MESSAGES.where(messages.c.position.between(bindparam("first"), bindparam("last")))
)
# Positions have no holes, so two looks into indexes count what a scan of all messages would.
_COUNT: Final = func.coalesce(
    select(func.max(messages.c.position) + 1).where(messages.c.session_id == sessions.c.id).scalar_subquery(),
    0,
) - (
    select(func.count())
    .where(messages.c.session_id == sessions.c.id, messages.c.role == "system")
    .scalar_subquery()
)
_run: Final = runs.alias("of_it")
_STATUS: Final = (
    select(_run.c.status)
    .where(_run.c.session_id == sessions.c.id, one_of(_run.c.status, LIVE))
    .scalar_subquery()
    .label("status")
)
_LAST_AGENT: Final = (
    select(_run.c.agent)
    .where(_run.c.session_id == sessions.c.id)
    .order_by(_run.c.started_at.desc())
    .limit(1)
    .scalar_subquery()
    .label("last_agent")
)


def _summary(row: Row) -> SessionSummary:
    agent = row.handed_to or row.last_agent or row.agent
    return SessionSummary(session_of(row), row.num_messages, row.active, row.status or "", agent)


_TOOL_STATES: Final = Prepared(
    select(tool_states.c.key, tool_states.c.state_json).where(
        tool_states.c.session_id == bindparam("session_id")
    )
)
