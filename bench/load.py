"""Many readers in one epoll loop: opens streams, takes the time of every delta, and says what it saw.

A process of its own: `python -m bench.load PLAN`, with a `Plan` as JSON. It prints two lines of JSON: `Opened`
once every stream has had its first delta, and `Seen` at the end of the window. In between, and after it until
its standard input ends, the streams stay open.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
import uuid
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from bench.accounting import cpu_seconds, quantile, resident_bytes, thread_count
from bench.dialects import DIALECTS, SESSION_ID, Request

OPENING_AT_ONCE: Final = 24
CALM_SECONDS: Final = 1.0  # between the opening and the window, and one more for so many streams:
CALM_PER_SECOND: Final = 150
STAMP: Final = re.compile(rb" t=(?!0{19})(\d{19})")  # a title repeats the words without a time
UNSTAMPED: Final = re.compile(rb" t=(0{19})")  # as all words are that come flat out
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`window` seconds of `streams` at `pace` deltas a second each; without a window, until all have ended."""

    port: int
    agent: str
    streams: int
    words: int
    pace: int = 0
    window: float = 0.0
    opening_seconds: float = 30.0
    server_pids: tuple[int, ...] = ()
    model_pids: tuple[int, ...] = ()
    dialect: str = "docker-agent"


@dataclass(frozen=True, slots=True)
class Opened:
    """How many streams run; `refused` says what the others were answered."""

    streams: int
    refused: list[str]
    session: str  # of one that runs
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The deltas that came within the window, and their cost to the server; latencies in milliseconds."""

    seconds: float
    deltas: int
    p50: float
    p99: float
    max: float
    server_cpu: float
    model_cpu: float
    own_cpu: float
    resident: int
    threads: int


@dataclass(frozen=True, slots=True)
class Spent:
    """A moment, and the CPU seconds that everybody had used by then."""

    moment: float
    server: float
    model: float
    own: float

    @classmethod
    def by(cls, plan: Plan) -> Spent:
        used = cpu_seconds(plan.server_pids), cpu_seconds(plan.model_pids), time.process_time()
        return cls(time.monotonic(), *used)


@dataclass(slots=True, eq=False)
class Reader:
    """One connection: makes a session, starts a run in it, and reads."""

    connection: socket.socket
    session: str = ""
    received: bytes = b""
    answered: bool = False
    started: bool = False


class Swarm:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dialect = DIALECTS[plan.dialect]
        self.latencies = array("d")
        self.deltas = 0
        self.connected = 0
        self.ended = 0
        self.opening = 0
        self.refused: list[str] = []
        self.readers: dict[int, Reader] = {}
        self.epoll = select.epoll()
        self.spent_before = Spent.by(plan)

    def open_all(self) -> Opened:
        begin = time.monotonic()
        missing = self.plan.streams
        while (missing or self.opening) and time.monotonic() < begin + self.plan.opening_seconds:
            while missing and self.opening < OPENING_AT_ONCE:
                self._connect()
                missing -= 1
            self._turn(0.05)
        session = next((reader.session for reader in self.readers.values() if reader.started), "")
        return Opened(
            self.connected - len(self.refused) - self.opening, self.refused, session, time.monotonic() - begin
        )

    def watch(self) -> Seen:
        """One window. Counts from before it are forgotten, except when the window is empty: then all counts."""
        if not self.plan.window:
            return self._watch(self.spent_before, lambda: self.ended == self.connected)
        self._calm_down()
        self.latencies = array("d")
        self.deltas = 0
        before = Spent.by(self.plan)
        return self._watch(before, lambda: time.monotonic() >= before.moment + self.plan.window)

    def _calm_down(self) -> None:
        """Opening so many streams at once keeps a server busy; the events that piled up meanwhile are another
        figure's business."""
        end = time.monotonic() + CALM_SECONDS + self.plan.streams / CALM_PER_SECOND
        while time.monotonic() < end:
            self._turn(0.02)

    def _watch(self, before: Spent, is_over: Callable[[], bool]) -> Seen:
        while not is_over():
            self._turn(0.02)
        after = Spent.by(self.plan)
        return Seen(
            seconds=after.moment - before.moment,
            deltas=self.deltas,
            p50=quantile(self.latencies, 0.5),
            p99=quantile(self.latencies, 0.99),
            max=max(self.latencies, default=float("nan")),
            server_cpu=after.server - before.server,
            model_cpu=after.model - before.model,
            own_cpu=after.own - before.own,
            resident=resident_bytes(self.plan.server_pids),
            threads=thread_count(self.plan.server_pids),
        )

    def stay_open(self) -> None:
        """Until whoever started us has seen enough."""
        self.epoll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        while not self._turn(1.0):
            pass

    def _connect(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self.plan.port))
        connection.setblocking(False)
        self.readers[connection.fileno()] = Reader(connection)
        self.connected += 1
        self.opening += 1
        self.epoll.register(connection.fileno(), select.EPOLLIN)
        reader = self.readers[connection.fileno()]
        if (request := self.dialect.session(self.plan.agent, self._wish)) is not None:
            self._post(connection, request)
        else:
            self._make_run(reader, uuid.uuid4().hex)

    def _post(self, connection: socket.socket, wish: Request) -> None:
        headers = {
            "Host": f"127.0.0.1:{self.plan.port}",
            "Content-Length": len(wish.body),
            **wish.all_headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.send(f"{wish.method} {wish.path} HTTP/1.1\r\n{head}\r\n".encode() + wish.body)

    def _turn(self, timeout: float) -> bool:
        """Reads what has come; True when our own standard input has ended."""
        over = False
        for descriptor, _ in self.epoll.poll(timeout):
            reader = self.readers.get(descriptor)
            if reader is None:
                over = True
            else:
                self._read(reader)
        return over

    def _read(self, reader: Reader) -> None:
        try:
            data = reader.connection.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._end(reader, "hung up")
            return
        reader.received += data
        if not reader.answered and not reader.received.startswith(b"HTTP/1.1 20"):
            self._end(reader, reader.received[:60].decode("latin-1"))
        elif not reader.session:
            found = SESSION_ID.search(reader.received)
            if found is not None:
                self._make_run(reader, found[1].decode())
        else:
            self._read_frames(reader)

    def _read_frames(self, reader: Reader) -> None:
        reader.answered = True
        is_last = reader.received.endswith(_LAST_CHUNK)
        whole, separator, reader.received = reader.received.rpartition(self.dialect.frame_end)
        if stamps := (STAMP if self.plan.pace else UNSTAMPED).findall(whole + separator):
            self._count(stamps)
            if not reader.started:
                reader.started = True
                self.opening -= 1
        if is_last:
            self._end(reader, "")

    def _count(self, stamps: list[bytes]) -> None:
        self.deltas += len(stamps)
        if self.plan.pace:
            now = time.monotonic_ns()
            self.latencies.extend((now - int(stamp)) / 1e6 for stamp in stamps)

    def _make_run(self, reader: Reader, session: str) -> None:
        reader.session, reader.received = session, b""
        self._post(reader.connection, self.dialect.run(session, self.plan.agent, self._wish))

    @property
    def _wish(self) -> str:
        return f"[words {self.plan.words}]" + (f"[pace {self.plan.pace}][stamp]" if self.plan.pace else "")

    def _end(self, reader: Reader, why: str) -> None:
        if not reader.started:
            self.refused.append(why)
            self.opening -= 1
        self.ended += 1
        self.epoll.unregister(reader.connection.fileno())
        reader.connection.close()  # its descriptor may be the next one's


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    swarm = Swarm(plan)
    print(json.dumps(asdict(swarm.open_all())), flush=True)
    print(json.dumps(asdict(swarm.watch())), flush=True)
    swarm.stay_open()


if __name__ == "__main__":
    main()
