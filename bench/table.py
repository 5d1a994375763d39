"""The one table: rows of figures, as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.contestants import CONTESTANTS, FLOOR, OURS, RELAY

BEGIN: Final = "<!-- figures: python -m bench --write-docs -->"
END: Final = "<!-- end of figures -->"
_HEADER: Final = ("figure", "unit", *CONTESTANTS, "ours ÷ relay", "ours ÷ raw", "remarks")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of everybody who was measured; `remarks` say what a number alone would hide."""

    figure: str
    unit: str
    values: Mapping[str, float]
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def ratio(self, other: str) -> float:
        ours, theirs = self.values.get(OURS, math.nan), self.values.get(other, math.nan)
        return ours / theirs if theirs else math.nan

    def cells(self) -> list[str]:
        numbers = [_number(self.values.get(contestant, math.nan)) for contestant in CONTESTANTS]
        ratios = [_number(self.ratio(other)) for other in (RELAY, FLOOR)]
        return [self.figure, self.unit, *numbers, *ratios, "; ".join(self.remarks)]


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def as_text(rows: Sequence[Row]) -> str:
    lines = [list(_HEADER), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER) - 1)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:-1], widths[2:], strict=True)]
    return "  ".join([*left, *right, cells[-1]]).rstrip()


def as_markdown(rows: Sequence[Row]) -> str:
    rule = ["---", "---", *["---:"] * (len(_HEADER) - 3), "---"]
    lines = [list(_HEADER), rule, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_json(path: Path, circumstances: Mapping[str, Any], rows: Sequence[Row]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**circumstances, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def write_into(document: Path, circumstances: str, rows: Sequence[Row]) -> None:
    """Puts the table between its two marks; the rest of the document stays."""
    inside = f"{BEGIN}\n\n{circumstances}\n\n{as_markdown(rows)}\n\n{END}"
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    document.write_text(pattern.sub(lambda _: inside, document.read_text()))
