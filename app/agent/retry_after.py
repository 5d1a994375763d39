"""How long a server wants to be left alone (RFC 9110, 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """For how many seconds the server wants to be left alone, if it says so."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1000
        else:
            seconds = float(headers.get("retry-after", ""))
    except ValueError:
        seconds = _until(headers.get("retry-after", ""), now)
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str, now: float) -> float:
    try:
        parsed = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    return max((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() - now, 0.0)
