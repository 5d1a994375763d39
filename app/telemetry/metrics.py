"""The numbers that Prometheus collects. The one place that names them; everybody else says what has happened.

Under gunicorn the workers share a directory (`app.telemetry.metrics_directory`), and any of them answers for all;
anywhere else a process has its numbers in memory. An update costs a few microseconds, so nothing here is called for
each delta of a model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.telemetry.metrics_directory import VARIABLE

_Mode = Literal["livesum", "livemostrecent"]
"""The joint value of several workers: all are added, or the newest counts. Dead workers do not count."""

_MOMENTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WAITS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_RUNS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How things stand in this process at one moment."""

    streams: int
    streams_limit: int
    threads_limit: int
    waiting_requests: int
    database_connections: int


class Metrics:
    """One per process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_runs()
        self._declare_work()
        self._declare_process()

    def _declare_runs(self) -> None:
        self._runs = self._gauge(
            "baton_runs", "Runs that hold their session now", "status", mode="livemostrecent"
        )
        self._longest_wait = self._gauge(
            "baton_longest_wait_seconds",
            "How long the run waits that was asked first",
            "status",
            mode="livemostrecent",
        )
        self._runs_started = self._counter("baton_runs_started", "Runs that were begun")
        self._runs_ended = self._counter("baton_runs_ended", "Runs that have ended", "status", "code")
        self._run_seconds = self._histogram(
            "baton_run_seconds", "How long runs took, waiting for people included", _RUNS, "status"
        )
        self._first_event_seconds = self._histogram(
            "baton_run_first_event_seconds", "From the request to the run's first event", _MOMENTS
        )
        self._events = self._counter("baton_events", "Events that runs have told and stored")
        self._lease_renewals = self._counter("baton_lease_renewals", "Leases renewed by the heartbeat")
        self._lease_losses = self._counter(
            "baton_lease_losses", "Runs that found their session taken by somebody else"
        )

    def _declare_work(self) -> None:
        self._model_first_token_seconds = self._histogram(
            "baton_model_first_token_seconds", "From a model call to its first token", _WAITS, "model"
        )
        self._model_call_seconds = self._histogram(
            "baton_model_call_seconds", "How long model calls took", _WAITS, "model", "outcome"
        )
        self._model_tokens = self._counter(
            "baton_model_tokens", "Tokens read and written by models", "model", "kind"
        )
        self._model_cost = self._counter(
            "baton_model_cost_dollars", "What the tokens cost by the published prices", "model"
        )
        self._tool_seconds = self._histogram(
            "baton_tool_seconds", "From a tool call's start to its result", _WAITS, "tool", "state"
        )

    def _declare_process(self) -> None:
        self._requests = self._counter(
            "baton_requests", "HTTP requests that were answered", "method", "route", "status"
        )
        self._refusals = self._counter("baton_refusals", "HTTP requests that were refused", "status", "code")
        self._streams = self._gauge("baton_streams", "Open event streams")
        self._streams_limit = self._gauge("baton_streams_limit", "Event streams that may be open")
        self._threads = self._gauge("baton_threads_in_use", "Threads that answer a request now")
        self._threads_limit = self._gauge("baton_threads_limit", "Threads that could answer a request")
        self._waiting_requests = self._gauge("baton_waiting_requests", "Requests that wait for their session")
        self._queued = self._gauge(
            "baton_queued_messages", "Messages that wait for a run", "kind", mode="livemostrecent"
        )
        self._database_seconds = self._histogram(
            "baton_database_seconds", "Transactions, the wait for a connection included", _MOMENTS, "kind"
        )
        self._database_failures = self._counter(
            "baton_database_failures", "Transactions that the database did not answer"
        )
        self._connections = self._gauge("baton_database_connections", "Database connections in use")

        self._webhooks = self._counter(
            "baton_webhook_deliveries", "Attempts to tell a webhook of an event", "outcome"
        )

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str, mode: _Mode = "livesum") -> Gauge:
        return Gauge(name, about, labels, registry=self.registry, multiprocess_mode=mode)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, about, labels, registry=self.registry, buckets=buckets)

    # ---- runs

    def run_started(self) -> None:
        self._runs_started.inc()

    def run_ended(self, status: str, code: str, seconds: float | None = None) -> None:
        """Without `seconds` for a run of another process, which died."""
        self._runs_ended.labels(status, code).inc()
        if seconds is not None:
            self._run_seconds.labels(status).observe(seconds)

    def first_event(self, seconds: float) -> None:
        self._first_event_seconds.observe(seconds)

    def events_stored(self, count: int) -> None:
        self._events.inc(count)

    def leases_renewed(self, count: int) -> None:
        self._lease_renewals.inc(count)

    def lease_lost(self) -> None:
        self._lease_losses.inc()

    # ---- their work

    def model_answered(self, model: str, seconds: float) -> None:
        """The first token has come."""
        self._model_first_token_seconds.labels(model).observe(seconds)

    def model_called(self, model: str, outcome: str, seconds: float) -> None:
        self._model_call_seconds.labels(model, outcome).observe(seconds)

    def tokens_used(self, model: str, tokens: Mapping[str, int], dollars: float) -> None:
        for kind, count in tokens.items():
            self._model_tokens.labels(model, kind).inc(count)
        self._model_cost.labels(model).inc(dollars)

    def tool_called(self, tool: str, state: str, seconds: float) -> None:
        self._tool_seconds.labels(tool, state).observe(seconds)

    # ---- the process

    def request_begins(self) -> None:
        self._threads.inc()

    def request_ends(self) -> None:
        self._threads.dec()

    def request_answered(self, method: str, route: str, status: int) -> None:
        self._requests.labels(method, route, status).inc()

    def request_refused(self, status: int, code: str) -> None:
        self._refusals.labels(status, code).inc()

    def transaction(self, kind: str, seconds: float, failed: bool) -> None:
        self._database_seconds.labels(kind).observe(seconds)
        if failed:
            self._database_failures.inc()

    def webhook_told(self, outcome: str) -> None:
        """`delivered`, `failed` for one that is tried again, `given_up`, or `disabled`."""
        self._webhooks.labels(outcome).inc()

    def set_levels(self, levels: Levels) -> None:
        self._streams.set(levels.streams)
        self._streams_limit.set(levels.streams_limit)
        self._threads_limit.set(levels.threads_limit)
        self._waiting_requests.set(levels.waiting_requests)
        self._connections.set(levels.database_connections)

    def set_runs(self, runs: Mapping[str, int]) -> None:
        """How many hold their session in the whole database, by status."""
        for status, count in runs.items():
            self._runs.labels(status).set(count)

    def set_longest_waits(self, seconds: Mapping[str, float]) -> None:
        """For an answer of a person, in the whole database, by status."""
        for status, longest in seconds.items():
            self._longest_wait.labels(status).set(longest)

    def set_queued(self, messages: Mapping[str, int]) -> None:
        """How many wait in the whole database, by kind."""
        for kind, count in messages.items():
            self._queued.labels(kind).set(count)

    # ---- for Prometheus

    def render(self) -> tuple[bytes, str]:
        """The numbers of all processes that share them, and their content type."""
        if VARIABLE not in os.environ:
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared), CONTENT_TYPE_LATEST
