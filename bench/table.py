"""Rows of figures as text, as Markdown and as JSON: one table for the usual contestants, one for those with peers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.contestants import AGNO, CONTESTANTS, FLOOR, LANGGRAPH, OURS, PEERS, RELAY

BEGIN: Final = "<!-- figures: python -m bench --write-docs -->"
STATUS: Final = "HTTP status"
"""The unit of what is no quantity."""

END: Final = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of everybody who was measured; `remarks` say what a number alone would hide."""

    figure: str
    unit: str
    values: Mapping[str, float]
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def ratio(self, other: str) -> float:
        if self.unit == STATUS:
            return math.nan
        ours, theirs = self.values.get(OURS, math.nan), self.values.get(other, math.nan)
        return ours / theirs if theirs else math.nan

    @property
    def has_peers(self) -> bool:
        return any(peer in self.values for peer in PEERS)


@dataclass(frozen=True, slots=True)
class Columns:
    """Who stands in a table, and those to whom ours is compared, by the short name of each."""

    contestants: Sequence[str]
    compared: Mapping[str, str]

    @property
    def header(self) -> list[str]:
        ratios = [f"ours ÷ {name}" for name in self.compared.values()]
        return ["figure", "unit", *self.contestants, *ratios, "remarks"]

    def cells(self, row: Row) -> list[str]:
        numbers = [_number(row.values.get(contestant, math.nan)) for contestant in self.contestants]
        ratios = [_number(row.ratio(other)) for other in self.compared]
        return [row.figure, row.unit, *numbers, *ratios, "; ".join(row.remarks)]


USUAL: Final = Columns(CONTESTANTS, {RELAY: "relay", FLOOR: "raw"})
WITH_PEERS: Final = Columns((OURS, RELAY, *PEERS), {AGNO: AGNO, LANGGRAPH: LANGGRAPH})


def _tables(rows: Sequence[Row]) -> Iterator[tuple[Columns, list[Row]]]:
    for columns, has_peers in ((USUAL, False), (WITH_PEERS, True)):
        if mine := [row for row in rows if row.has_peers is has_peers]:
            yield columns, mine


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def as_text(rows: Sequence[Row]) -> str:
    return "\n\n".join(_text(*table) for table in _tables(rows))


def _text(columns: Columns, rows: Sequence[Row]) -> str:
    lines = [columns.header, *map(columns.cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns.header) - 1)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:-1], widths[2:], strict=True)]
    return "  ".join([*left, *right, cells[-1]]).rstrip()


def as_markdown(rows: Sequence[Row]) -> str:
    return "\n\n".join(_markdown(*table) for table in _tables(rows))


def _markdown(columns: Columns, rows: Sequence[Row]) -> str:
    rule = ["---", "---", *["---:"] * (len(columns.header) - 3), "---"]
    lines = [columns.header, rule, *map(columns.cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_json(path: Path, circumstances: Mapping[str, Any], rows: Sequence[Row]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**circumstances, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def write_into(document: Path, circumstances: str, rows: Sequence[Row]) -> None:
    """Puts the table between its two marks; the rest of the document stays."""
    inside = f"{BEGIN}\n\n{circumstances}\n\n{as_markdown(rows)}\n\n{END}"
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    document.write_text(pattern.sub(lambda _: inside, document.read_text()))
