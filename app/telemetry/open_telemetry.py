"""Traces through OpenTelemetry. Needs the extra `otel`; imported only when traces are on.

Where spans go, and how many of them, the SDK reads from its own variables: `OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, …
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, cast

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry.tracing import Attributes, Span, Tracing

log = logging.getLogger(__name__)

PROVIDER: Final = "anthropic"
CLOSE_SECONDS: Final = 3.0  # for the last spans, if their collector is slow

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class _OpenSpan(Span):
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR, kind)


class OpenTelemetry(Tracing):
    """Begins a thread that sends, so make it after the fork. `exporter` is for callers that send elsewhere."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("baton")

    def current(self) -> object:
        return context.get_current()

    @contextmanager
    def continuing(self, traceparent: str, tracestate: str) -> Iterator[None]:
        carrier = {"traceparent": traceparent, "tracestate": tracestate}
        with self.within(_PROPAGATOR.extract(carrier, context=context.Context())):
            yield

    @contextmanager
    def within(self, place: object) -> Iterator[None]:
        token = context.attach(cast(context.Context, place))
        try:
            yield
        finally:
            context.detach(token)

    def run(self, *, session_id: str, run_id: str, agent: str) -> AbstractContextManager[Span]:
        return self._span(
            f"invoke_agent {agent}",
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.agent.name": agent,
                "gen_ai.conversation.id": session_id,
                "baton.run.id": run_id,
            },
        )

    def model_call(self, model: str, *, max_tokens: int) -> AbstractContextManager[Span]:
        return self._span(
            f"chat {model}",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.request.model": model,
                "gen_ai.request.max_tokens": max_tokens,
                "gen_ai.request.stream": True,
            },
            kind=trace.SpanKind.CLIENT,
            is_current=False,
        )

    def tool_call(self, name: str, call_id: str, *, is_current: bool = True) -> AbstractContextManager[Span]:
        return self._span(
            f"execute_tool {name}",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.call.id": call_id,
                "gen_ai.tool.type": "function",
            },
            is_current=is_current,
        )

    @contextmanager
    def _span(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        is_current: bool = True,
    ) -> Iterator[Span]:
        """Exceptions end it and say nothing about it: the code that began it knows what they mean."""
        span = self._tracer.start_span(name, attributes=attributes, kind=kind)
        try:
            if not is_current:
                yield _OpenSpan(span)
                return
            with self.within(trace.set_span_in_context(span)):
                yield _OpenSpan(span)
        finally:
            span.end()

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        try:
            closing.start()
        except RuntimeError:
            log.warning("traces that were not sent yet are lost", exc_info=True)
        else:
            closing.join(CLOSE_SECONDS)


def _resource() -> Resource:
    """The environment's description of this service; called baton unless it says otherwise."""
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "baton"}))
    return found
