"""The cost of a delivered delta, its delay, and the memory of an open stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from bench.accounting import resident_bytes, settle, thread_count
from bench.contestants import CONTESTANTS, dialect_name
from bench.course import Course
from bench.load import Opened, Plan, Seen
from bench.processes import Server, load
from bench.table import Row

FELL_BEHIND: Final = 0.97
NEAR_A_CORE: Final = 0.7
GAVE_UP: Final = 0.5
OPENING_SECONDS: Final = 10.0  # and one more for every fifteen streams


@dataclass(frozen=True, slots=True)
class Measured:
    """One contestant in one window."""

    streams: int
    pace: int
    opened: Opened
    seen: Seen

    @property
    def microseconds(self) -> float:
        return self.seen.server_cpu / max(self.seen.deltas, 1) * 1e6

    @property
    def share(self) -> float:
        return self.seen.deltas / max(self.streams * self.pace * self.seen.seconds, 1)

    def remarks(self, who: str) -> Iterator[str]:
        if self.pace and self.share < FELL_BEHIND:
            yield f"{who} fell behind: {self.share:.0%} delivered"
        if self.opened.streams < self.streams:
            yield f"{who} opened {self.opened.streams} of {self.streams}"
        if self.seen.own_cpu / self.seen.seconds > NEAR_A_CORE:
            yield f"load generator at {self.seen.own_cpu / self.seen.seconds:.1f} core with {who}"


def paced(course: Course) -> list[Row]:
    """Many streams at a model's pace: CPU, latency, and whether it keeps up at all.

    A contestant that has delivered less than half is spared more streams of that pace.
    """
    rows: list[Row] = []
    gave_up: set[tuple[str, int]] = set()
    with course.arena.servers() as servers:
        warm(course, servers)
        for streams, pace in course.extent.paced:
            measured = {
                server.contestant: watch(course, server, streams, pace)
                for server in servers
                if (server.contestant, pace) not in gave_up
            }
            gave_up |= {(who, pace) for who, one in measured.items() if one.share < GAVE_UP}
            rows += _paced_rows(streams, pace, measured)
    return rows


def flat_out(course: Course) -> list[Row]:
    """As fast as it goes, from the first request to the last byte."""
    rows = []
    with course.arena.servers() as servers:
        warm(course, servers)
        for streams, words in course.extent.flat:
            seen: dict[str, list[Seen]] = defaultdict(list)
            for _ in range(course.extent.repeats):
                for server in servers:
                    seen[server.contestant].append(_read_all(course, server, streams, words))
            name = f"{streams} stream{'s' * (streams > 1)} flat out"
            cost = {
                who: median(s.server_cpu / max(s.deltas, 1) * 1e6 for s in all_) for who, all_ in seen.items()
            }
            rate = {who: median(s.deltas / s.seconds for s in all_) for who, all_ in seen.items()}
            rows.append(Row(f"CPU per delta, {name}", "µs", cost))
            rows.append(Row(f"deltas per second, {name}", "1/s", rate))
    return rows


def held(course: Course) -> list[Row]:
    """Memory and threads of open streams: young ones that say little, and old ones that have said much."""
    rows = [row for streams in course.extent.open_streams for row in _held_by(course, streams)]
    old = {}
    for contestant in CONTESTANTS:
        with course.arena.server(contestant) as server:
            warm(course, [server])
            before = resident_bytes(server.pids)
            aged = watch(course, server, 20, 100, window=10.0)
            old[contestant] = (aged.seen.resident - before) / 20 / 1024
    return [*rows, Row("memory per open stream, of 20, after 1,000 deltas each", "KiB", old)]


def _held_by(course: Course, streams: int) -> list[Row]:
    kilobytes, threads = {}, {}
    for contestant in CONTESTANTS:
        with course.arena.server(contestant) as server:
            warm(course, [server])
            before, threads_before = resident_bytes(server.pids), thread_count(server.pids)
            young = watch(course, server, streams, 1, window=1.0)
            kilobytes[contestant] = (young.seen.resident - before) / streams / 1024
            threads[contestant] = (young.seen.threads - threads_before) / streams
    return [
        Row(f"memory per open stream, of {streams}", "KiB", kilobytes),
        Row(f"threads per open stream, of {streams}", "", threads),
    ]


def plan_for(course: Course, server: Server, streams: int, pace: int, window: float) -> Plan:
    return Plan(
        port=server.port,
        agent="plain",
        streams=streams,
        words=1_000_000,
        pace=pace,
        window=window,
        opening_seconds=OPENING_SECONDS + streams / 15,
        server_pids=server.pids,
        model_pids=(course.arena.model_pid,),
        dialect=dialect_name(server.contestant),
    )


def watch(course: Course, server: Server, streams: int, pace: int, *, window: float = 0.0) -> Measured:
    plan = plan_for(course, server, streams, pace, window or course.extent.window)
    with load(plan, course.arena.new_directory()) as running:
        measured = Measured(streams, pace, running.opened(), running.seen())
    settle(server.pids)
    return measured


def _read_all(course: Course, server: Server, streams: int, words: int) -> Seen:
    plan = Plan(
        port=server.port,
        agent="plain",
        streams=streams,
        words=words,
        server_pids=server.pids,
        model_pids=(course.arena.model_pid,),
        dialect=dialect_name(server.contestant),
    )
    with load(plan, course.arena.new_directory()) as running:
        running.opened()
        return running.seen()


def warm(course: Course, servers: Sequence[Server]) -> None:
    """The first runs pay for imports and caches that no later one needs."""
    for server in servers:
        _read_all(course, server, 4, 20)


def _paced_rows(streams: int, pace: int, measured: Mapping[str, Measured]) -> Iterator[Row]:
    name = f"{streams} × {pace}/s"
    remarks = [text for who, one in measured.items() for text in one.remarks(who)]
    remarks += [f"{who} left out, as it had given up before" for who in CONTESTANTS if who not in measured]
    cost = {who: one.microseconds for who, one in measured.items()}
    details = {who: asdict(one.seen) for who, one in measured.items()}
    yield Row(f"CPU per delta, {name}", "µs", cost, remarks, details)
    for label in ("p50", "p99", "max"):
        late = {who: float(getattr(one.seen, label)) for who, one in measured.items()}
        yield Row(f"added latency, {name}, {label}", "ms", late)
