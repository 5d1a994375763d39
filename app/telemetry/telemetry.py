"""Numbers and traces together, as they are handed to the code that works."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

from app.distribution import install_command
from app.setting_fields import InvalidSettings
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One per process, made after the fork."""

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)


def load_tracing(*, wanted: bool) -> Tracing:
    """Imports OpenTelemetry only when it is wanted, since it need not be installed. InvalidSettings."""
    if not wanted:
        return Tracing()
    try:
        traced: Tracing = import_module("app.telemetry.open_telemetry").OpenTelemetry()
    except ImportError as error:
        raise InvalidSettings(f"BATON_TRACES=on needs {error.name}: {install_command('otel')}") from error
    return traced
