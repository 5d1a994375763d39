"""A model's client whose calls are counted, timed and traced."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.agent import model_catalogue
from app.agent.model_client import Cancellation, ModelClient, ModelError, ModelEvent, ModelRequest, Turn
from app.conversation.usage import Usage
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span


class MeasuredModel:
    """A ModelClient. Between the first delta and the turn it costs what passing an object on costs."""

    def __init__(self, client: ModelClient, telemetry: Telemetry) -> None:
        self._client = client
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        began = time.monotonic()
        outcome = "cancelled"  # if nobody waits for the turn
        with self._tracing.model_call(request.model, max_tokens=request.max_tokens) as span:
            try:
                events = self._client.stream(request, cancellation)
                for event in events:
                    self._metrics.model_answered(request.model, time.monotonic() - began)
                    if type(event) is Turn:
                        outcome = "finished"
                    yield self._seen(request, event, span)
                    break
                for event in events:
                    if type(event) is Turn:
                        outcome = "finished"  # a caller that has the turn need not ask for more
                        self._seen(request, event, span)
                    yield event
            except ModelError as error:
                outcome = error.kind
                span.fail(error.kind)
                if error.usage is not None:
                    self._used(request.model, error.usage, span)
                raise
            finally:
                self._metrics.model_called(request.model, outcome, time.monotonic() - began)

    def _seen(self, request: ModelRequest, event: ModelEvent, span: Span) -> ModelEvent:
        if isinstance(event, Turn):
            span.note({"gen_ai.response.model": event.model})
            if event.stop_reason:
                span.note({"gen_ai.response.finish_reasons": [event.stop_reason]})
            if event.usage is not None:
                self._used(request.model, event.usage, span)
        return event

    def _used(self, model: str, usage: Usage, span: Span) -> None:
        kinds = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
        }
        self._metrics.tokens_used(model, kinds, model_catalogue.cost(model, usage))
        span.note(
            {
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            }
        )
