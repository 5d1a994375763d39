"""One process of the fleet: everything that a worker of the server has, its threads of housekeeping included, but no
HTTP in front and no model behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from app.conversation.blocks import text_block
from app.conversation.run import Answer
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import SessionBusy
from app.runtime.heartbeat import Heartbeat
from app.runtime.housekeeping import Housekeeper
from app.store.run_request import RunRequest
from bench.fleet.house import build_with
from bench.fleet.paced_model import ASK, Pace, PacedModel
from tests.harness.process import eventually

PATIENCE: Final = 120.0
LOOK_SECONDS: Final = 0.01


class Member:
    """A process of its own, and what the others may ask of it. One caller at a time."""

    def __init__(self, url: str, directory: Path, pace: Pace, places: int) -> None:
        """It is forked from a process that has imported the program and has no thread."""
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench.fleet.member"])
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, url, directory, pace, places), daemon=True
        )
        self.process.start()
        theirs.close()
        self._connection = ours

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def begin(self, what: str, *arguments: Any) -> None:
        """Has it do something; `end` waits until that is done."""
        self._connection.send((what, arguments))

    def end(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise TimeoutError("a process of the fleet does not answer")
        done, result = self._connection.recv()
        if not done:
            raise RuntimeError(result)
        return result

    def ask(self, what: str, *arguments: Any) -> Any:
        self.begin(what, *arguments)
        return self.end()

    def kill(self) -> None:
        """As an out-of-memory kill would."""
        self.process.kill()

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self._connection.close()


def _serve(connection: Connection, url: str, directory: Path, pace: Pace, places: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    try:
        work = _Work(url, directory, pace, places)
        while True:
            what, arguments = connection.recv()
            try:
                connection.send((True, getattr(work, what)(*arguments)))
            except Exception:
                connection.send((False, traceback.format_exc()))
    except EOFError:
        pass
    finally:
        os._exit(0)


class _Work:
    """In the member's process. Each public method is something that `Member.ask` can ask for."""

    def __init__(self, url: str, directory: Path, pace: Pace, places: int) -> None:
        self._model = PacedModel(pace)
        self._ticks = _timed(Housekeeper, "_tick")
        self._beats = _timed(Heartbeat, "_beat")
        self._server = build_with(self._model, url, directory, places)

    def start_runs(self, count: int) -> list[str]:
        """Their sessions."""
        sessions = [self._new_session() for _ in range(count)]
        for session_id in sessions:
            self._start(session_id, "thinker", "talk")
        return sessions

    def live(self) -> int:
        return len(self._server.runtime.runs.all())

    def housekeeping(self) -> tuple[list[float], list[float]]:
        """Seconds of each tick and each heartbeat since this was asked last."""
        found = list(self._ticks), list(self._beats)
        self._ticks.clear()
        self._beats.clear()
        return found

    def start_question(self, mark: str) -> str:
        """The session of a run that waits for a person now."""
        session_id = self._new_session()
        live = self._start(session_id, "asker", f"{ASK} [{mark}]")
        runs = self._server.store.runs
        eventually(
            lambda: runs.get(live.run.id).waiting_for is not None,  # the row: what other processes see
            "the run waits for a person",
            seconds=PATIENCE,
        )
        return session_id

    def answer(self, session_id: str) -> float:
        """When the answer was given, by the clock that all processes share."""
        at = time.monotonic()
        self._server.control.answer(session_id, Answer("approve"), kinds=("approval",))
        return at

    def answered_at(self, mark: str) -> float:
        return self._model.answered_at(mark, PATIENCE)

    def claim(self, session_id: str) -> float:
        """Takes the session over; when it had it, by the clock that all processes share."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(SessionBusy):
                self._start(session_id, "thinker", "go on")
                return time.monotonic()
            time.sleep(LOOK_SECONDS)
        raise TimeoutError("the session of a killed process is not free")

    def _new_session(self) -> str:
        session = Session(id=str(uuid.uuid4()), created_at=time.time())
        self._server.store.sessions.create(session)
        return session.id

    def _start(self, session_id: str, agent: str, text: str) -> Any:
        message = Message("user", (text_block(text),), created_at=time.time())
        return self._server.runtime.manager.start(
            RunRequest(session_id=session_id, key=agent, messages=[message])
        )


def _timed(owner: type, name: str) -> list[float]:
    """The seconds of each call of that method, from now on."""
    method: Callable[..., Any] = getattr(owner, name)
    seconds: list[float] = []

    def measured(self: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(self)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, name, measured)
    return seconds
