"""The Flask application: its resources, and what every request passes."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from flask import Flask, Response, g, request
from werkzeug.routing import BaseConverter

from app.logs import enter_context, leave_context
from app.web import error_responses
from app.web.access import Access
from app.web.door import OWN, Door, door
from app.web.query_parameters import MESSAGE_ID, SESSION_ID

log = logging.getLogger(__name__)


class SessionIdConverter(BaseConverter):
    """A text that can't be an id is not looked up: it is simply not there."""

    regex = SESSION_ID


class MessageIdConverter(BaseConverter):
    """A message's position in its session."""

    regex = MESSAGE_ID

    def to_python(self, value: str) -> int:
        return int(value)


class Routes(Protocol):
    """A group of routes."""

    def register(self, app: Flask) -> None: ...


def make_application(
    resources: Iterable[Routes], access: Access, *, max_body_bytes: int, doors: Sequence[Door] = ()
) -> Flask:
    """`doors` are those beside Baton's own."""
    app = Flask("baton", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    app.url_map.converters["session"] = SessionIdConverter
    app.url_map.converters["message"] = MessageIdConverter
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False  # no redirects: another path is another path
    app.before_request(partial(_begin, doors))
    access.register(app)
    error_responses.register(app)
    for resource in resources:
        resource.register(app)
    app.after_request(_identify)
    app.teardown_request(_end)
    return app


def _begin(doors: Sequence[Door]) -> None:
    """Takes the caller's request id if it is one that a log can bear."""
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", given) else uuid.uuid4().hex
    g.begun = time.perf_counter()
    g.log_token = enter_context(request=g.request_id)
    g.door = next((one for one in doors if request.path.startswith(one.prefix)), OWN)
    g.door.admit()


def _identify(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    door().stamp(response)
    if request.method == "OPTIONS" and response.status_code == 200:
        response.status_code = 204  # as the contract's server answers it
    milliseconds = (time.perf_counter() - g.begun) * 1000
    log.debug("%s %s %d %.1f ms", request.method, request.path, response.status_code, milliseconds)
    return response


def _end(error: BaseException | None) -> None:
    close_unsent = g.pop("close_unsent", None)
    if error is not None and close_unsent is not None:
        close_unsent()  # the stream's response was replaced by an error's
    token = g.pop("log_token", None)
    if token is not None:
        leave_context(token)
