"""How many SQL statements a run and a turn take, by the length of the history. Counts: the same every time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

from anthropic_standin.standin_server import OfflineServer
from app.conversation.blocks import text_block
from app.conversation.transcript import Message
from app.factory import Server, build
from app.runtime.live_run import LiveRun
from app.settings import Settings
from app.store.prepared_statements import DialectSql
from app.store.run_request import RunRequest
from bench.contestants import OURS
from bench.course import Course
from bench.history import seed_session
from bench.processes import ROOT
from bench.table import Row

HISTORIES: Final = (10, 1000)
_THINK: Final = '[call think {"thought": "so"}]'
HOUSEKEEPERS: Final = ("housekeeping", "periodic-tasks", "heartbeat")  # its statements depend on time


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that this process sends to any database meanwhile, except those of housekeeping and the look at
    the brakes, at most once a second, whose number depends on time; not how transactions begin and end."""
    sent: list[str] = []

    def note(statement: str) -> None:
        if threading.current_thread().name not in HOUSEKEEPERS and "FROM brakes" not in statement:
            sent.append(statement)

    def built(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    def prepared(form: DialectSql, connection: Connection) -> Any:
        note(form.sql)
        return cursor(form, connection)

    cursor: Any = DialectSql.cursor
    event.listen(Engine, "before_cursor_execute", built)
    setattr(DialectSql, "cursor", prepared)  # noqa: B010 - a method is replaced for a moment
    try:
        yield sent
    finally:
        setattr(DialectSql, "cursor", cursor)  # noqa: B010
        event.remove(Engine, "before_cursor_execute", built)


def counts(course: Course) -> list[Row]:
    rows = []
    with OfflineServer(record=False) as model:
        server = build(_settings(course.arena.new_directory(), model.url))
        try:
            for length in HISTORIES:
                one, two = (statements_of_a_run(server, length, turns=turns) for turns in (1, 2))
                rows.append(
                    Row(f"statements per run of one turn, {length} messages before it", "", {OURS: one})
                )
                rows.append(
                    Row(
                        f"statements per turn with a tool call, {length} messages before it",
                        "",
                        {OURS: two - one},
                    )
                )
        finally:
            server.close()
    return rows


def _settings(directory: Path, model_url: str) -> Settings:
    return Settings(
        agents=ROOT / "bench" / "agents",
        database_url=f"sqlite:///{directory / 'baton.db'}",
        api_key="key-of-the-benchmark",
        api_base_url=model_url,
        roots=(directory,),
    )


def statements_of_a_run(server: Server, length: int, *, turns: int) -> int:
    """The statements of a session's second run, which finds its prompt frozen."""
    session = seed_session(server.store, length)
    run_once(server, session)
    with statements() as sent:
        live = _run(server, session, turns)
    _assert_finished(server, live)
    return len(sent)


def run_once(server: Server, session: str, *, turns: int = 1) -> None:
    """A run of so many turns: all but the last one with a tool call."""
    _assert_finished(server, _run(server, session, turns))


def _run(server: Server, session: str, turns: int) -> LiveRun:
    text = "[then]".join([_THINK] * (turns - 1) + ["[say done]"])
    message = Message("user", (text_block(text),), created_at=time.time())
    live = server.runtime.manager.start(RunRequest(session_id=session, key="thinker", messages=[message]))
    live.finished.wait(30)
    return live


def _assert_finished(server: Server, live: LiveRun) -> None:
    if (status := server.store.runs.get(live.run.id).status) != "finished":
        raise RuntimeError(f"a run ended as {status}")
