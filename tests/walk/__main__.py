"""`python -m tests.walk [--seed 7] [--percent 100] [--resume] …`: the whole walk, or a part of it.

Each shard is a process with a database of its own. Each step is written to a file as one line, so that a walk which
was cut can be resumed by the same options.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from anthropic_standin.standin_server import OfflineServer
from tests.harness.postgres import PostgresServer, find_binaries
from tests.harness.process import ROOT
from tests.walk.faults import FAULTS
from tests.walk.scenarios import SCENARIOS
from tests.walk.steps import Step, all_steps, describe
from tests.walk.walker import Walker

SHARDS: Final = 16
"""More than cores: a shard waits most of its time, for what is away to come back and for leases to run out."""


def main() -> int:
    options = _options()
    if options.shard is not None:
        return _walk_shard(options)
    state = Path(options.state)
    state.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        for file in state.glob("*.jsonl"):
            file.unlink()
    kinds = [options.database] if options.database else ["sqlite", *(["postgres"] if find_binaries() else [])]
    shards = []
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer()) if "postgres" in kinds else None
        for number in range(options.shards):
            kind = kinds[number % len(kinds)]
            url = postgres.new_database() if postgres is not None and kind == "postgres" else ""
            command = [sys.executable, "-m", "tests.walk", *sys.argv[1:]]
            place = f"{number // len(kinds)}/{len(range(number % len(kinds), options.shards, len(kinds)))}"
            command += ["--shard", place, "--url", url, "--kind", kind]
            shards.append(subprocess.Popen(command, cwd=ROOT))
        failed = sum(shard.wait() != 0 for shard in shards)
    return _summary(state, failed)


def _walk_shard(options: argparse.Namespace) -> int:
    """This shard's share of the steps on one database."""
    place, of = map(int, options.shard.split("/"))
    file = Path(options.state, f"{options.kind}-{options.seed}-{options.shard.replace('/', '-of-')}.jsonl")
    done = {_name(line) for line in file.read_text().splitlines()} if file.exists() else set()
    broken = 0
    logging.basicConfig(level=logging.CRITICAL)  # of the surviving server: it warns of each that died
    with _walker(options.url) as walker, file.open("a") as notes:
        points = {name: walker.points(name) for name in options.scenarios}
        steps = all_steps(points, options.faults, seed=options.seed, percent=options.percent)
        if options.step:
            steps = [step for step in steps if str(step) in options.step]
        if place == 0:
            say(f"{options.kind}: {describe(points)}; {len(steps)} steps")
        for step in steps[place::of]:
            if str(step) in done:
                continue
            verdict = walker.walk(step)
            notes.write(json.dumps(asdict(verdict)) + "\n")
            notes.flush()
            if verdict.problems:
                broken += 1
                say(f"BROKEN   {options.kind} {step} ({verdict.touched}): {verdict.problems}")
                if options.step:
                    say(verdict.log)
    return 1 if broken else 0


@contextmanager
def _walker(url: str) -> Iterator[Walker]:
    """In memory: a process that is killed leaves its files whole, and a disk would make every write wait."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="baton-", dir=memory if memory.is_dir() else None) as name,
        OfflineServer() as model,
        Walker(Path(name), url or f"sqlite:///{name}/baton.db", model) as walker,
    ):
        yield walker


def _summary(state: Path, failed: int) -> int:
    verdicts = [json.loads(line) for file in state.glob("*.jsonl") for line in file.read_text().splitlines()]
    count: Counter[str] = Counter()
    for verdict in verdicts:
        outcome = verdict["outcome"].partition(":")[0] if verdict["reached"] else "not reached"
        count[f"{verdict['step']['fault']}: {outcome}"] += 1
        count["BROKEN"] += bool(verdict["problems"])
    say(f"\n{len(verdicts)} steps:")
    for what, number in sorted(count.items()):
        say(f"{number:8} {what}")
    return 1 if failed or count["BROKEN"] else 0


def _name(line: str) -> str:
    step = json.loads(line)["step"]
    return str(Step(step["scenario"], step["point"], step["fault"]))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the order of the steps")
    parser.add_argument("--percent", type=float, default=100, help="walk only so much of it")
    parser.add_argument("--shards", type=int, default=SHARDS, help="processes that walk at the same time")
    parser.add_argument("--state", default=".walk", help="where the files of done steps are")
    parser.add_argument("--resume", action="store_true", help="leave out what the files there say is done")
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="only this one")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument(
        "--step",
        action="append",
        help="walk only this, in one process: 'SCENARIO POINT FAULT', as it is shown",
    )
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        options.shards = len([options.database] if options.database else ["sqlite", "postgres"])
        options.scenarios = sorted({step.split()[0] for step in options.step})
    return options


if __name__ == "__main__":
    sys.exit(main())
