"""The numbers for Prometheus, and the counting of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.wsgi import ClosingIterator

from app.telemetry.telemetry import Telemetry
from app.threads import Services
from app.web.resource import Resource, ResponseSpec, get

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class MetricsResource(Resource):
    """Gives the numbers of this host's processes."""

    name = "metrics"

    def __init__(self, telemetry: Telemetry, measure: Callable[[], None], services: Services) -> None:
        self._telemetry = telemetry
        self._measure = measure
        self._services = services

    @get(
        "/metrics",
        "The numbers for Prometheus",
        answers={200: ResponseSpec("In the text format.", str, media="text/plain")},
        stores=False,
        parameters=(),
    )
    def metrics(self) -> Response:
        """Answers without the database, which may be what is wrong."""
        self._services.ensure_running()
        self._measure()
        body, content_type = self._telemetry.metrics.render()
        return Response(body, content_type=content_type)


def observe(app: Flask, telemetry: Telemetry) -> None:
    """Counts the application's requests and lets each go on with its caller's trace."""

    def answered(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.url_rule else "any"  # an unknown route's method may be any word
        telemetry.metrics.request_answered(method, route, response.status_code)
        if response.status_code >= 400:
            telemetry.metrics.request_refused(response.status_code, g.get("error_code", "none"))
        return response

    app.after_request(answered)
    app.wsgi_app = _Observed(app.wsgi_app, telemetry)  # type: ignore[method-assign]


class _Observed:
    """A thread is in use until the last byte of its answer was sent."""

    def __init__(self, app: WSGIApplication, telemetry: Telemetry) -> None:
        self._app = app
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        traceparent, tracestate = environ.get("HTTP_TRACEPARENT", ""), environ.get("HTTP_TRACESTATE", "")
        self._metrics.request_begins()
        try:
            with self._tracing.continuing(traceparent, tracestate):
                answer = self._app(environ, start_response)
        except BaseException:
            self._metrics.request_ends()
            raise
        return ClosingIterator(answer, self._metrics.request_ends)
