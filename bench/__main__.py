"""Measures everything, or what is asked for: `python -m bench [--quick] [--only NAME…] [--write-docs]`."""

from __future__ import annotations

import argparse
import os
import platform
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from bench.accounting import load_average
from bench.contestants import arena
from bench.course import FULL, QUICK, Course
from bench.figures import (
    busy,
    calls,
    claims,
    doors,
    growth,
    life,
    peers,
    rate,
    shapes,
    short_runs,
    statements,
    stored,
    streams,
)
from bench.processes import ROOT, allow_many_files
from bench.table import Row, as_text, write_into, write_json

FIGURES: Final[Mapping[str, Callable[[Course], list[Row]]]] = {
    "paced": streams.paced,
    "doors": doors.compare,
    "flat": streams.flat_out,
    "held": streams.held,
    "busy": busy.refused,
    "short": short_runs.overhead,
    "rate": rate.per_second,
    "claims": claims.per_second,
    "shapes": shapes.compare,
    "life": life.start_and_stop,
    "statements": statements.counts,
    "stored": stored.compare,
    "growth": growth.grow,
    "calls": calls.side_by_side,
    "peers": peers.beside,
}
DOCUMENT: Final = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not hasattr(select, "epoll"):
        print("the benchmark needs Linux", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is stopped then too
    allow_many_files()
    extent = QUICK if options.quick else FULL
    if options.seconds:
        extent = replace(extent, window=options.seconds)
    circumstances = _circumstances(arguments)
    rows: list[Row] = []
    with arena() as ring:
        for name in options.only or FIGURES:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            rows += FIGURES[name](Course(ring, extent))
    print(as_text(rows))
    write_json(ROOT / "bench" / "results" / f"{circumstances['at']}.json", circumstances, rows)
    if options.write_docs:
        write_into(DOCUMENT, _in_words(circumstances), rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a core carries.")
    parser.add_argument("--quick", action="store_true", help="a first look, in a minute or two")
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--seconds", type=float, help="how long each point of `paced` is watched")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    return parser


def _circumstances(arguments: Sequence[str]) -> dict[str, Any]:
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
        "command": " ".join(["python -m bench", *arguments]),
        "commit": commit,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": load_average(),
    }


def _in_words(circumstances: Mapping[str, Any]) -> str:
    return (
        f"`{circumstances['command']}` at {circumstances['at']}, commit {circumstances['commit'] or 'unknown'}, "
        f"CPython {circumstances['python']}, {circumstances['cores']} cores that others used too "
        f"(load average before it: {circumstances['load_before']:.1f})."
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
