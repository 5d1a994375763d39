"""Durations as Go writes them (`500ms`, `2m30s`) to seconds and back."""

from __future__ import annotations

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)")


def parse_duration(text: str) -> float:
    """Seconds; the empty text is 0. Raises ValueError."""
    if not text:
        return 0.0
    if len(text) > 100 or not _WHOLE.fullmatch(text):
        raise ValueError("invalid duration; write it like 30s, 2m30s or 1h")
    nanoseconds = sum(float(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    return (-nanoseconds if text.startswith("-") else nanoseconds) / 1_000_000_000


def render_duration(seconds: float) -> str:
    """Go's own spelling, `1m0s`; 0 is the empty text, which is how an unset duration travels."""
    nanoseconds = round(seconds * 1_000_000_000)
    if nanoseconds == 0:
        return ""
    if nanoseconds < 0:
        return f"-{render_duration(-seconds)}"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1_000:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _NANOSECONDS['s'])}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
