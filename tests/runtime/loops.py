"""Doubles for the agent: loops that do what a test needs, and the planner that hands them out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.agent.loop_steps import CallEnded, CallStarting, Steps, TurnAdded
from app.agent.resumption import Resumption
from app.conversation.events import AgentChoice, StreamStarted
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import RunCancelled
from app.runtime.live_run import LiveRun
from app.runtime.run_control import RunControl
from app.runtime.run_plan import Plan
from app.runtime.runtime import Runtime
from app.runtime.streams.event_reader import EventReader
from app.runtime.streams.reader_factory import ReaderFactory
from app.store.run_request import RunRequest
from app.store.store import Store
from tests.store.actors import calling, result, user

PATIENCE = 20.0

Loop = Callable[[LiveRun, Session, Sequence[Message], Resumption | None], Steps]


class OneLoop:
    """A planner that knows one agent."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def plan(self, key: str, name: str | None) -> Plan:
        return Plan("plain/root", self.loop)


def idle(live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None) -> Steps:
    """A run that has nothing to do."""
    yield StreamStarted(session_id=session.id)


class Patient:
    """A run that works until the test lets it go, or it is cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._go = threading.Event()

    def loop(
        self, live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        yield StreamStarted(session_id=session.id)
        with live.cancellation.calling(self._go.set):
            self.entered.set()
            assert self._go.wait(PATIENCE)
        if live.cancellation.is_set():
            raise RunCancelled()

    def let_go(self) -> None:
        self._go.set()


class Stubborn:
    """A run whose tool works on whatever it is told, until the test lets it go; then it wants to store more."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.refused = threading.Event()
        self._go = threading.Event()

    def loop(
        self, live: LiveRun, session: Session, rows: Sequence[Message], resumption: Resumption | None
    ) -> Steps:
        call_id = f"call-{len(rows)}"
        yield StreamStarted(session_id=session.id)
        yield TurnAdded(session.id, calling(call_id), None)
        yield CallStarting(session.id, call_id, "shell")
        self.entered.set()
        assert self._go.wait(PATIENCE)
        yield AgentChoice(content="too late to be heard", session_id=session.id)
        try:
            yield CallEnded(session.id, result(call_id, "too late"), "completed")
        except GeneratorExit:
            self.refused.set()
            raise

    def let_go(self) -> None:
        self._go.set()


def say(runtime: Runtime, session_id: str, text: str = "hello", *, key: str = "plain") -> LiveRun:
    return runtime.manager.start(RunRequest(session_id=session_id, key=key, messages=[user(text)]))


def readers_of(store: Store, runtime: Runtime) -> ReaderFactory:
    return ReaderFactory(store, runtime.runs, runtime.logs, runtime.services)


def control_of(store: Store, runtime: Runtime) -> RunControl:
    return RunControl(
        store,
        runtime.planner,
        runtime.runs,
        runtime.manager,
        runtime.claims,
        runtime.locks,
        runtime.logs,
        runtime.periodic_tasks,
    )


def read_all(store: Store, runtime: Runtime, live: LiveRun) -> bytes:
    """A run's whole stream; returns when it has ended."""
    return read_to_end(readers_of(store, runtime).of_run(live))


def read_to_end(reader: EventReader) -> bytes:
    """The events that a reader still has to read; returns when nothing can follow."""
    pieces = []
    try:
        while (piece := reader.next(PATIENCE)) is not None:
            assert piece, "the stream went silent"
            pieces.append(piece)
    finally:
        reader.close()
    return b"".join(pieces)


def said_by_user(store: Store, session_id: str) -> list[str]:
    return [row.content[0]["text"] for row in store.sessions.messages(session_id) if row.role == "user"]
