"""Live runs without a runtime: the work of a run, its log and its readers by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from app.conversation.run import Owner, Run
from app.runtime.live_run import LiveRun
from app.runtime.session_locks import SessionLocks
from app.runtime.streams.event_log import EndMark, EventLog

OWNER = Owner("a-host", "a-boot", 1, "1")


def live_run(log: EventLog | None = None) -> LiveRun:
    run = Run("r", "s", "plain/root", "running", started_at=0.0, owner=OWNER, lease_expires_at=0.0)
    return LiveRun(run, SessionLocks().lock_of("s"), log or EventLog("s", 1))


def numbers(frames: bytes | None) -> list[int]:
    """The numbers of the events in a piece of a stream."""
    return [int(line[4:]) for line in (frames or b"").split(b"\n") if line.startswith(b"id: ")]


def end_run(log: EventLog, end: EndMark, payloads: Sequence[bytes] = (b"{}",)) -> None:
    """Ends the run as it ends itself when the store works."""
    log.seal(payloads, end)
    last = log.next_number - 1
    log.show_end(end, last)
