"""The figures of fleets as tables of Markdown, and the model that fits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.store.engine import CONNECTIONS, OWN_CONNECTIONS
from bench.fleet.database_watch import Seen
from bench.fleet.linear_model import fit

CONNECTIONS_EACH: Final = CONNECTIONS + OWN_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Point:
    """One fleet. Times are in milliseconds, `claimed` and `freed` in seconds."""

    processes: int
    runs: int  # of each process
    seen: Seen
    tick: float
    tick_p99: float
    ticks: float  # a second, of each process
    beat: float
    fleet_cpu: float  # cores, of all processes
    others_cpu: float  # of everything else on the machine
    answer: float
    answer_max: float
    claimed: float
    freed: float


Figure = Callable[[Point], float]

_FIGURES: Final[Mapping[str, Figure]] = {
    "statements/s": lambda point: point.seen.statements,
    "commits/s": lambda point: point.seen.commits,
    "rows/s": lambda point: point.seen.rows,
    "events, KiB/s": lambda point: point.seen.event_bytes / 1024,
    "WAL, KiB/s": lambda point: point.seen.wal_bytes / 1024,
    "growth, KiB/s": lambda point: point.seen.grown_bytes / 1024,
    "cores of PostgreSQL": lambda point: point.seen.cpu,
    "connections": lambda point: point.seen.connections,
}
"""What the database has to do: these are taken to be linear."""

_FELT: Final[Mapping[str, Figure]] = {
    "cores of the fleet": lambda point: point.fleet_cpu,
    "cores of strangers": lambda point: point.others_cpu,
    "ticks/s of a process": lambda point: point.ticks,
    "tick, ms": lambda point: point.tick,
    "tick p99, ms": lambda point: point.tick_p99,
    "heartbeat, ms": lambda point: point.beat,
    "answer, ms": lambda point: point.answer,
    "slowest answer, ms": lambda point: point.answer_max,
    "one claim after a kill, s": lambda point: point.claimed,
    "all free after a kill, s": lambda point: point.freed,
}


_BOUNDS: Final[Mapping[str, tuple[float, str]]] = {
    "cores of PostgreSQL": (8.0, "8 cores for PostgreSQL"),
    "WAL, KiB/s": (50.0 * 1024, "50 MiB of WAL a second"),
}
"""What one good machine gives a database."""

MOST_CONNECTIONS: Final = 1000
"""Of one PostgreSQL without a pool in front."""


def as_text(points: Sequence[Point]) -> str:
    header = ["figure", *(f"{point.processes} × {point.runs}" for point in points)]
    lines = [header, ["---", *["---:"] * len(points)]]
    for name, figure in {**_FIGURES, **_FELT}.items():
        lines.append([name, *(number(figure(point)) for point in points)])
    return _table(lines) + "\n\n" + _costly(points[-1]) + "\n"


def _costly(point: Point) -> str:
    lines = [
        [f"statement, at {point.processes} × {point.runs}", "calls/s", "s in it per s"],
        ["---", "---:", "---:"],
    ]
    for query, (calls, seconds) in (point.seen.costly or {}).items():
        words = " ".join(query.replace("|", "\\|").split())
        lines.append([f"`{words[:90]}`", number(calls), number(seconds)])
    return _table(lines)


def model_of(points: Sequence[Point]) -> str:
    """Empty unless two fleets differ in their runs for each process."""
    if len({point.runs for point in points}) < 2:
        return ""
    lines = [["figure", "for each process", "for each live run", "worst deviation"], ["---", *["---:"] * 3]]
    each = max(point.runs for point in points)
    ends = [["what ends", f"live runs, {each} in each process", "processes"], ["---", "---:", "---:"]]
    processes = MOST_CONNECTIONS // CONNECTIONS_EACH
    ends.append([f"{MOST_CONNECTIONS:,} connections", number(processes * each), number(processes)])
    for name, figure in _FIGURES.items():
        line = fit([(p.processes, p.processes * p.runs, figure(p)) for p in points])
        lines.append([name, number(line.per_process), number(line.per_run), f"{line.worst:.0%}"])
        if name in _BOUNDS:
            bound, words = _BOUNDS[name]
            runs = line.runs_within(bound, each)
            ends.append([words, number(runs), number(runs / each)])
    return f"{_table(lines)}\n\n{_table(ends)}"


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
