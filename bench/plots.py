"""Draws a result of the benchmark: `python -m bench.plots bench/results/….json` (needs the extra `plots`)."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt

from bench.contestants import CONTESTANTS, FLOOR, OURS, RELAY
from bench.processes import ROOT

DIRECTORY: Final = ROOT / "docs" / "images"
COLOURS: Final = {OURS: "#1f6feb", RELAY: "#d1242f", FLOOR: "#6e7781"}
_PACED: Final = re.compile(r"(CPU per delta|added latency), (\d+) × (\d+)/s(?:, (p99))?$")

Points = dict[tuple[str, int], dict[str, list[tuple[int, float]]]]
"""By figure and pace, then by contestant: streams and value."""

Lines = dict[str, list[tuple[int, float]]]
"""By act: sizes and milliseconds."""

ACTS: Final = {
    "claim": "#1f6feb",
    "409": "#d1242f",
    "page of the list": "#1a7f37",
    "whole list": "#9a6700",
    "snapshot": "#8250df",
    "re-attach": "#bf3989",
    "ready": "#6e7781",
    "agents": "#0a7ea4",
}


def read(path: Path) -> Points:
    points: Points = defaultdict(lambda: defaultdict(list))
    for row in json.loads(path.read_text())["rows"]:
        found = _PACED.fullmatch(row["figure"])
        if found is None:
            continue
        for contestant, value in row["values"].items():
            points[found[1], int(found[3])][contestant].append((int(found[2]), value))
    return points


def draw(points: Points, figure: str, unit: str, path: Path) -> None:
    """One panel for each pace; both axes are logarithmic."""
    paces = sorted(pace for name, pace in points if name == figure)
    canvas, panels = plt.subplots(1, len(paces), figsize=(4.6 * len(paces), 3.6), sharey=True, squeeze=False)
    for panel, pace in zip(panels[0], paces, strict=True):
        _panel(panel, points[figure, pace], pace)
    panels[0][0].set_ylabel(f"{figure}, {unit}")
    panels[0][-1].legend(frameon=False)
    canvas.tight_layout()
    canvas.savefig(path, metadata={"Date": None})
    plt.close(canvas)


def _panel(panel: Any, lines: dict[str, list[tuple[int, float]]], pace: int) -> None:
    for contestant in CONTESTANTS:
        if line := sorted(lines.get(contestant, [])):
            streams, values = zip(*line, strict=True)
            panel.plot(streams, values, marker="o", label=contestant, color=COLOURS[contestant])
    panel.set(xscale="log", yscale="log", xlabel="streams", title=f"{pace} deltas a second each")
    ticks = sorted({streams for line in lines.values() for streams, _ in line})
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.grid(alpha=0.3)


def read_growth(path: Path) -> dict[str, Lines]:
    """What `--only growth` has measured, by axis."""
    found: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    for row in json.loads(path.read_text())["rows"]:
        if (details := row["details"]) and "axis" in details:
            found[details["axis"]][details["act"]].append((details["size"], row["values"][OURS]))
    return found


def draw_growth(axes: Mapping[str, Lines], path: Path) -> None:
    """One panel for each axis; both of its scales are logarithmic."""
    canvas, grid = plt.subplots(2, math.ceil(len(axes) / 2), figsize=(13, 6.4), sharey=True, squeeze=False)
    panels = list(grid.flat)
    for panel, (axis, lines) in zip(panels, axes.items(), strict=False):
        for act, line in lines.items():
            sizes, values = zip(*sorted(line), strict=True)
            panel.plot(sizes, values, marker="o", label=act, color=ACTS.get(act))
        panel.set(xscale="log", yscale="log", xlabel=axis)
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, fontsize=7)
    for panel in panels[len(axes) :]:
        panel.axis("off")
    for row in grid:
        row[0].set_ylabel("median ms")
    canvas.tight_layout()
    canvas.savefig(path, metadata={"Date": None})
    plt.close(canvas)


def main(arguments: Sequence[str]) -> int:
    DIRECTORY.mkdir(exist_ok=True)
    if axes := read_growth(Path(arguments[0])):
        draw_growth(axes, DIRECTORY / "growth.svg")
    points = read(Path(arguments[0]))
    if not points:
        return 0
    draw(points, "CPU per delta", "µs", DIRECTORY / "cpu-per-delta.svg")
    draw(points, "added latency", "p99 in ms", DIRECTORY / "latency.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
