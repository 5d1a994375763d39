"""Numbers and traces together, as they are handed to the code that works."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One per process, made after the fork."""

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)
