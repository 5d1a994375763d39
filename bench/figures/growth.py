"""What a user feels when one thing grows tenfold, and a hundredfold, and all else stays.

A server in this process is asked without a socket, so that a figure is its own work and its database's. What takes more
than `FLAT` times as long at the last size as at the first one is marked.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.conversation.blocks import text_block
from app.conversation.transcript import Message
from app.factory import Server
from app.store.run_request import RunRequest
from bench.accounting import quantile
from bench.contestants import OURS
from bench.course import Course
from bench.fleet.house import house
from bench.fleet.member import Member
from bench.fleet.paced_model import SHORT, Pace, PacedModel
from bench.history import seed_session
from bench.processes import ROOT
from bench.table import Row
from tests.harness.filled import fill
from tests.harness.in_process import LocalClient
from tests.harness.postgres import PostgresServer, find_binaries

FLAT: Final = 2.0
SLOW: Final = Pace(deltas=1.0, turn_seconds=60.0)
PLACES: Final = 500
RUNS_EACH: Final = 10
"""Live runs of each process of the fleet."""

FEWEST: Final = 5
LONGEST_SECONDS: Final = 10.0
"""How often each act is timed at least, and for how long all of a size."""

MESSAGES: Final = 20
"""Of the session that is asked for, unless they are what grows."""


@dataclass(slots=True)
class House:
    """A server, and the sessions that it is asked about."""

    client: LocalClient
    long: str  # a session with a history
    busy: str  # one whose run goes on
    newest: int  # number of the newest event of the first one

    @property
    def server(self) -> Server:
        return self.client.server

    def talk(self, session_id: str) -> None:
        """Starts a run that goes on and on."""
        message = Message("user", (text_block("talk"),), created_at=time.time())
        self.server.runtime.manager.start(
            RunRequest(session_id=session_id, key="thinker", messages=[message])
        )


Act = Callable[[House], None]
"""One request, which is timed."""


def _claim(at: House) -> None:
    with at.client.run(at.long, SHORT) as stream:
        stream.until("stream_started")


def _refusal(at: House) -> None:
    response = at.client.try_run(at.busy, "are you there?")
    assert response.status_code == 409
    response.close()


def _get(path: str) -> Act:
    def act(at: House) -> None:
        at.client.call("GET", path.format(long=at.long))

    return act


def _attach(at: House) -> None:
    with at.client.follow(at.long, since=at.newest - 1) as stream:
        next(iter(stream))


_ACTS: Final[Mapping[str, Act]] = {
    "claim": _claim,
    "409": _refusal,
    "page of the list": _get("/api/sessions?limit=50"),
    "whole list": _get("/api/sessions"),
    "snapshot": _get("/api/sessions/{long}/snapshot"),
    "re-attach": _attach,
    "ready": _get("/ready"),
    "agents": _get("/api/agents"),
}


@dataclass(frozen=True, slots=True)
class Axis:
    """`furnish` makes one thing as large as it is told; `first` is the size of ×1."""

    name: str
    first: int
    acts: Sequence[str]
    furnish: Callable[[House, int], None] = lambda *_: None
    messages: bool = False  # the length of the asked session is what grows
    agents: bool = False  # or the directory of agent files


def _sessions(at: House, size: int) -> None:
    fill(at.server.store.database, sessions=size, segments=10)


def _events(at: House, size: int) -> None:
    fill(at.server.store.database, sessions=20, segments=size // 9 // 20)


def _runs(at: House, size: int) -> None:
    for _ in range(size):
        at.talk(at.client.new_session())


def _readers(at: House, size: int) -> None:
    for _ in range(size):
        stream = at.client.follow(at.busy)  # ends with its server
        threading.Thread(target=_drain, args=(stream,), daemon=True).start()


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


AXES: Final = (
    Axis(
        "sessions stored",
        100,
        ("claim", "409", "page of the list", "whole list", "snapshot", "ready"),
        _sessions,
    ),
    Axis("messages in a session", 20, ("claim", "409", "snapshot", "re-attach"), messages=True),
    Axis("events stored", 18_000, ("claim", "snapshot", "re-attach", "ready"), _events),
    Axis("live runs", 2, ("claim", "409", "page of the list", "re-attach", "ready"), _runs),
    Axis("agents in the directory", 3, ("claim", "409", "agents", "ready"), agents=True),
    Axis("readers of one session", 1, ("claim", "409", "re-attach", "ready"), _readers),
)


def grow(course: Course) -> list[Row]:
    rows: list[Row] = []
    for axis in AXES:
        print(f"  {axis.name} …", file=sys.stderr, flush=True)
        measured = [_measure(course, axis, axis.first * factor) for factor in course.extent.growth]
        rows += _rows_of(axis.name, [axis.first * factor for factor in course.extent.growth], measured)
    return rows + _processes(course)


def _rows_of(axis: str, sizes: Sequence[int], measured: Sequence[Mapping[str, float]]) -> list[Row]:
    rows = []
    for act in measured[0]:
        for size, values in zip(sizes, measured, strict=True):
            ratio = values[act] / measured[0][act]
            remarks = [f"{ratio:.1f} × that with {sizes[0]:,}"] if size != sizes[0] else []
            if size == sizes[-1] and ratio > FLAT:
                remarks.append("not flat")
            details = {"axis": axis, "act": act, "size": size}
            rows.append(Row(f"{act}, {size:,} {axis}", "ms", {OURS: values[act]}, remarks, details))
    return rows


def _measure(course: Course, axis: Axis, size: int) -> dict[str, float]:
    directory = course.arena.new_directory()
    agents = _agents(directory / "agents", size) if axis.agents else None
    url = f"sqlite:///{directory / 'baton.db'}"
    with _furnished(url, directory, size if axis.messages else MESSAGES, agents) as at:
        axis.furnish(at, size)
        return _times(at, axis.acts, course.extent.claims // 5)


@contextmanager
def _furnished(url: str, directory: Path, messages: int, agents: Path | None = None) -> Iterator[House]:
    with house(PacedModel(SLOW), url, directory, PLACES, agents=agents) as server:
        client = LocalClient(server)
        at = House(client, seed_session(server.store, messages), client.new_session(), 0)
        with client.run(at.long, SHORT) as stream:  # the first run of a process imports and prepares
            stream.rest()
            at.newest = stream.ids[-1]
        at.talk(at.busy)
        yield at


def _agents(directory: Path, count: int) -> Path:
    directory.mkdir()
    for file in (ROOT / "bench" / "agents").glob("*.yaml"):
        shutil.copy(file, directory)
    for number in range(count - 3):
        shutil.copy(ROOT / "bench" / "agents" / "plain.yaml", directory / f"other-{number}.yaml")
    return directory


def _times(at: House, acts: Sequence[str], repeats: int) -> dict[str, float]:
    """Median milliseconds of each; slow ones are asked for less often."""
    found: dict[str, list[float]] = {act: [] for act in acts}
    deadline = time.monotonic() + LONGEST_SECONDS
    for number in range(max(repeats, 15)):
        if number >= FEWEST and time.monotonic() > deadline:
            break
        for act in acts:
            began = time.perf_counter()
            _ACTS[act](at)
            found[act].append((time.perf_counter() - began) * 1000)
            at.client.wait_until_free(at.long)
    return {act: quantile(times, 0.5) for act, times in found.items()}


def _processes(course: Course) -> list[Row]:
    """Beside this one, each with its live runs, on one PostgreSQL."""
    if find_binaries() is None:
        return []
    sizes = [factor for factor in course.extent.growth if factor <= 10]  # a hundred want more than two cores
    measured = []
    with PostgresServer("max_connections=300") as postgres:
        for size in sizes:
            url, directory = postgres.new_database(), course.arena.new_directory()
            with ExitStack() as stack:
                for _ in range(size):
                    member = Member(url, directory, SLOW, RUNS_EACH + 1)
                    stack.callback(member.close)
                    member.ask("start_runs", RUNS_EACH)
                at = stack.enter_context(_furnished(url, directory, MESSAGES))
                acts = ("claim", "409", "page of the list", "snapshot", "re-attach", "ready")
                measured.append(_times(at, acts, course.extent.claims // 5))
    return _rows_of("processes on one database", sizes, measured)
