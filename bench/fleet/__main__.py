"""Many processes with many live runs on one PostgreSQL, and what that costs the database:
`python -m bench.fleet [--processes N…] [--runs N…] [--seconds S]`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.accounting import cpu_seconds, load_average, quantile
from bench.fleet.database_watch import OPTIONS, watching
from bench.fleet.member import Member
from bench.fleet.paced_model import Pace
from bench.fleet.report import CONNECTIONS_EACH, Point, as_text, model_of
from bench.processes import ROOT, allow_many_files
from tests.harness.postgres import PostgresServer, find_binaries

QUESTIONS: Final = 10
SPARE: Final = QUESTIONS + 10
"""Places of a process beside its talking runs."""

SETTLE_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.02
FREE_SECONDS: Final = 120.0


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if find_binaries() is None:
        print("PostgreSQL is not installed", file=sys.stderr)
        return 1
    allow_many_files()
    pace = Pace(options.pace, options.turn)
    points = []
    most = max(options.processes) * CONNECTIONS_EACH + 20
    with PostgresServer(*OPTIONS, f"max_connections={most}") as server:
        for processes in options.processes:
            for runs in options.runs:
                print(f"{processes} processes × {runs} runs …", file=sys.stderr, flush=True)
                points.append(measure(server.new_database(), processes, runs, pace, options))
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    print(
        f"`{' '.join(['python -m bench.fleet', *arguments])}` at {at}, {os.cpu_count()} cores for everything "
        f"(load average now: {load_average():.1f}). Each run says {options.pace:g} words a second and "
        f"calls a tool about every {options.turn:g} s: time is turned down, so that two cores carry it.\n"
    )
    print(as_text(points))
    print(model_of(points))
    path = ROOT / "bench" / "results" / f"fleet-{at}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet", description="Many processes on one PostgreSQL."
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4, 10], metavar="N")
    parser.add_argument("--runs", type=int, nargs="+", default=[20, 200], metavar="N", help="of each process")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each fleet is watched")
    parser.add_argument("--pace", type=float, default=0.5, help="words a second of each run")
    parser.add_argument(
        "--turn", type=float, default=30.0, help="seconds of a turn, which ends in a tool call"
    )
    parser.add_argument("--hints", type=float, default=0.0, help="a second, as answers and stops send them")
    return parser


def measure(url: str, processes: int, runs: int, pace: Pace, options: argparse.Namespace) -> Point:
    seconds = options.seconds
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-fleet-")))
        fleet = stack.enter_context(_fleet(url, directory, processes, runs + SPARE, pace))
        watch = stack.enter_context(watching(url))  # after the forks
        for member in fleet:
            member.begin("start_runs", runs)
        sessions = [member.end() for member in fleet]
        time.sleep(SETTLE_SECONDS)
        for member in fleet:
            member.ask("housekeeping")
        before, all_before = cpu_seconds(member.pid for member in fleet), _busy_seconds()
        seen = watch.during(seconds, hints=options.hints)
        cpu = (cpu_seconds(member.pid for member in fleet) - before) / seconds
        others = max((_busy_seconds() - all_before) / seconds - cpu - seen.cpu, 0.0)
        if (live := sum(member.ask("live") for member in fleet)) != processes * runs:
            raise RuntimeError(f"only {live} of {processes * runs} runs are at work")
        found = [member.ask("housekeeping") for member in fleet]
        ticks = [tick * 1000 for each, _ in found for tick in each]
        beats = [beat * 1000 for _, each in found for beat in each]
        answers = [_answer(fleet, number) for number in range(QUESTIONS)]
        claimed, freed = _kill(fleet, sessions, watch.live_runs_of) if processes > 1 else (0.0, 0.0)
        return Point(
            processes=processes,
            runs=runs,
            seen=seen,
            tick=quantile(ticks, 0.5),
            tick_p99=quantile(ticks, 0.99),
            ticks=len(ticks) / seconds / processes,
            beat=quantile(beats, 0.5),
            fleet_cpu=cpu,
            others_cpu=others,
            answer=statistics.median(answers),
            answer_max=max(answers),
            claimed=claimed,
            freed=freed,
        )


def _busy_seconds() -> float:
    """CPU time that everybody on this machine has used."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _fleet(url: str, directory: Path, processes: int, places: int, pace: Pace) -> Iterator[list[Member]]:
    fleet: list[Member] = []
    try:
        for _ in range(processes):
            fleet.append(Member(url, directory, pace, places))
        yield fleet
    finally:
        for member in fleet:
            member.close()


def _answer(fleet: Sequence[Member], number: int) -> float:
    """Milliseconds from an answer in one process until its run, in another one, makes its next model call; the tool
    that it runs in between takes its part of them."""
    mark = f"question {number}"
    asks, answers = fleet[number % len(fleet)], fleet[(number + 1) % len(fleet)]
    session_id = asks.ask("start_question", mark)
    given = answers.ask("answer", session_id)
    reached = asks.ask("answered_at", mark)
    return float(reached - given) * 1000


def _kill(
    fleet: list[Member], sessions: Sequence[Sequence[str]], live_runs_of: Callable[[int], int]
) -> tuple[float, float]:
    """Seconds until one session of a killed process has its next run, and until all its runs are closed."""
    victim, heir = fleet[-1], fleet[0]
    began = time.monotonic()
    victim.kill()
    claimed = float(heir.ask("claim", sessions[-1][0])) - began
    while live_runs_of(victim.pid):
        if time.monotonic() - began > FREE_SECONDS:
            raise TimeoutError("the runs of a killed process are not closed")
        time.sleep(LOOK_SECONDS)
    return claimed, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
