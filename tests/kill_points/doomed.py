"""A server that lives in a forked child for one message, and kills itself at a chosen point.

`python -m tests.kill_points.doomed` is the nursery: it has imported everything, opened nothing, and forks a
child for every line that it reads. The child tells what its client saw, so it is known afterwards what had been
acknowledged.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection

import app.agent.anthropic.anthropic_model  # noqa: F401 - before the fork, or each child imports the SDK anew, for seconds
from app.factory import build
from app.store.engine import Database
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

PATIENCE: Final = 60
"""Seconds after which a child that neither lives nor dies is killed, which fails its test."""

Transaction = Callable[[Database], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Doom:
    """The child's work, and the moment of its death. `at_write` counts from the beginning of the message."""

    directory: str
    database_url: str
    model_url: str
    session_id: str
    text: str = ""
    agent: str = "tools"
    follow_up: str = ""
    confirmation: str = ""  # answers the session's question with this instead of saying the text
    answer: dict[str, Any] | None = None  # with this beside it
    at_write: int = 0
    moment: Literal["before", "after"] = "after"
    at_event: str = ""
    after_seconds: float = 0.0


def die() -> None:
    """As by the kernel's hand, with everything that the process has started in its group."""
    os.killpg(0, signal.SIGKILL)


def die_at_write(number: int, moment: str) -> None:
    """Counts the transactions of this process from now on, of each kind that writes."""
    guard, count = threading.Lock(), 0

    def is_mine() -> bool:
        nonlocal count
        with guard:
            count += 1
            return count == number

    def counted(real: Transaction, *, by_itself: bool = False) -> Transaction:
        @contextmanager
        def transaction(self: Database) -> Iterator[Connection]:
            mine = is_mine()
            if mine and moment == "before" and by_itself:  # its statement would commit it
                die()
            try:
                with real(self) as connection:
                    try:
                        yield connection
                    finally:
                        if mine and moment == "before":  # it would be committed now, or undone
                            die()
            finally:
                if mine:
                    die()

        return transaction

    Database.writing = counted(Database.writing)  # type: ignore[method-assign, assignment]
    Database.writing_undurably = counted(Database.writing_undurably)  # type: ignore[method-assign, assignment]
    Database.single_write = counted(Database.single_write, by_itself=True)  # type: ignore[method-assign, assignment]


def live(doom: Doom) -> None:
    """The child's whole life. It ends with `os._exit`, like a process that nobody waits for."""
    os.setsid()
    signal.alarm(PATIENCE)
    server = build(make_settings(Path(doom.directory), doom.model_url, database_url=doom.database_url))
    client = LocalClient(server)
    if doom.after_seconds:
        timer = threading.Timer(doom.after_seconds, die)
        timer.daemon = True
        timer.start()
    if doom.at_write:
        die_at_write(doom.at_write, doom.moment)
    if doom.confirmation:
        client.resume(doom.session_id, doom.confirmation, doom.answer)
        client.wait_until_free(doom.session_id)
        return
    with client.run(doom.session_id, doom.text, agent=doom.agent) as stream:
        if doom.follow_up:
            body = {"messages": [{"role": "user", "content": doom.follow_up}]}
            client.call("POST", f"/api/sessions/{doom.session_id}/followup", body, expect=202)
            tell({"type": "followup accepted"})
        for event in stream:
            tell(event)
            if event["type"] == doom.at_event:
                die()


def tell(event: dict[str, Any]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    gc.collect()
    gc.freeze()  # a collection in a child would write to the pages that it shares
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                live(Doom(**json.loads(line)))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
        _, status = os.waitpid(child, 0)
        tell({"type": "exit", "code": os.waitstatus_to_exitcode(status)})


def order(doom: Doom) -> bytes:
    return json.dumps(asdict(doom)).encode() + b"\n"


if __name__ == "__main__":
    main()
