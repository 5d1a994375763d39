"""`python -m tests.chaos --seconds 600 [--seed 7] [--database sqlite|postgres]`: breaks everything for that long.

Every round has a seed of its own, which is printed; a round that fails can be repeated with it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.driver import Plan, let_loose
from tests.harness.postgres import PostgresServer, find_binaries

ROUND_SECONDS = 30.0
CUTS = 1_000  # in each round


def main() -> int:
    options = _options()
    kinds = [options.database] if options.database else ["sqlite", *(["postgres"] if find_binaries() else [])]
    until = time.monotonic() + options.seconds
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    total: Counter[str] = Counter()
    with ExitStack() as stack:
        model = stack.enter_context(OfflineServer())
        postgres = stack.enter_context(PostgresServer()) if "postgres" in kinds else None
        while time.monotonic() < until:
            for kind in kinds:
                seconds = min(ROUND_SECONDS, options.seconds)
                database = postgres if kind == "postgres" else None
                if not _round(Plan(seed, seconds, database, cuts=CUTS), kind, model, total):
                    return 1
            seed += 1
    say("\nAll rounds together, and nothing broke:")
    _show(total)
    return 0


def _round(plan: Plan, kind: str, model: OfflineServer, total: Counter[str]) -> bool:
    repeat = f"python -m tests.chaos --seed {plan.seed} --seconds {plan.seconds:g} --database {kind}"
    say(f"\n{repeat}")
    model.reset()
    notes = let_loose(plan, model)
    total.update(notes.counts)
    _show(notes.counts)
    for problem in notes.problems:
        say(f"BROKEN   {problem}")
    if notes.problems:
        for number, text in enumerate(notes.logs):
            path = Path(f"chaos-{plan.seed}-{number}.log")
            path.write_text(text)
            say(f"the log of server {number} is in {path}")
        say(f"again with: {repeat}")
    return not notes.problems


def _show(counts: Counter[str]) -> None:
    for what, count in sorted(counts.items()):
        say(f"{count:8} {what}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long, all rounds together")
    parser.add_argument("--seed", type=int, help="of the first round; any number")
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="only this one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
