"""Errors as HTTP: the only table from an error's class to a status, and the one shape they all have."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any, Final, NotRequired

from flask import Flask, Response, g, request
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException

from app import errors
from app.web.door import door
from app.web.message_json import StoredMessageJson, message_payload
from app.web.response_json import json_response
from app.web.run_json import RunJson, run_payload

log = logging.getLogger(__name__)


class RefusalJson(TypedDict):
    """`error` repeats `message`; decide by `code`."""

    message: str
    error: str
    code: str
    request_id: str


class BusyJson(RefusalJson):
    """The run that has the session; missing when it is a moment old."""

    run: NotRequired[RunJson]


class AnsweredAlreadyJson(RefusalJson):
    """The answer that came first."""

    decision: NotRequired[str]
    decided_by: NotRequired[str]
    reason: NotRequired[str]


class StaleJson(RefusalJson):
    last_position: int
    missed: list[StoredMessageJson]


class TakenAlreadyJson(RefusalJson):
    """Where in the conversation the message is now."""

    position: NotRequired[int]


RETRY_SECONDS: Final = 2

# Looked up along the MRO.
STATUSES: Final[Mapping[type[Exception], int]] = {
    errors.InvalidRequest: 400,
    errors.RequestTooLarge: 413,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.StalePrecondition: 412,
    errors.LeaseLost: 412,
    errors.QueueFull: 429,
    errors.TooMany: 429,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
    errors.MissingEnvironment: 503,
    errors.ToolServerFailed: 502,
    errors.InvalidTranscript: 422,
    errors.UnpricedModel: 422,
    errors.BatonLost: 409,
    errors.RunEnded: 502,
    errors.BudgetReached: 402,
    errors.SessionFull: 413,
    errors.AppError: 500,
}


def status_of(error: errors.AppError) -> int:
    if error.details.get("status"):
        return int(error.details["status"])
    return status_of_kind(type(error))


def status_of_kind(kind: type[errors.AppError]) -> int:
    """The status of an error of this class, unless the error brings one of its own."""
    return next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)


def register(app: Flask) -> None:
    app.register_error_handler(errors.SessionBusy, _busy)
    app.register_error_handler(errors.StalePrecondition, _stale)
    app.register_error_handler(errors.QueueFull, _full)
    app.register_error_handler(errors.TooMany, _too_many)
    app.register_error_handler(errors.AppError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(MemoryError, _exhausted)
    app.register_error_handler(OSError, _short)
    app.register_error_handler(Exception, _unexpected)


def error_response(
    status: int, message: str, code: str, details: Mapping[str, Any] | None = None
) -> Response:
    """In the shape of the door that the request has come through."""
    g.error_code = code
    shown = {key: value for key, value in (details or {}).items() if value is not None and key != "status"}
    status, body = door().refusal(status, message, code, shown)
    response = json_response(body, status)
    if status == 503 or (status == 409 and code in ("session_busy", "stopping")):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _busy(error: errors.SessionBusy) -> Response:
    details = {"run": run_payload(error.run)} if error.run is not None else None
    response = error_response(409, error.message, error.busy_code, details)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    # not from the run: the holder may be so new that it is not known yet
    if session_id := (request.view_args or {}).get("session_id"):
        response.headers["Location"] = f"/api/sessions/{session_id}/events"
    return response


def _stale(error: errors.StalePrecondition) -> Response:
    missed = [message_payload(message, {}) for message in error.missed]
    return error_response(412, error.message, error.code, {**error.details, "missed": missed})


def _full(error: errors.QueueFull) -> Response:
    response = error_response(429, error.message, error.code)
    response.headers["Retry-After"] = "1"
    return response


def _too_many(error: errors.TooMany) -> Response:
    response = error_response(429, error.message, error.code, error.details)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def _refused(error: errors.AppError) -> Response:
    status = status_of(error)
    if status == 500:
        return _unexpected(error)
    response = error_response(status, error.message, error.code, error.details)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http(error: HTTPException) -> Response:
    """The framework's own refusals: unknown path, wrong method, too large a body."""
    if error.code is None or error.code >= 500:
        return _unexpected(error)
    response = error_response(error.code, error.name, error.name.lower().replace(" ", "_"))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After", "Location"):
            response.headers[name] = value
    return response


def _exhausted(error: MemoryError) -> Response:
    """This request wanted more memory than there is; the others may go on with what they have."""
    log.error("out of memory", exc_info=error)
    return _refused(errors.ServerFull())


def _short(error: OSError) -> Response:
    """The process, or its machine, has no descriptor to give just now."""
    if error.errno not in (errno.EMFILE, errno.ENFILE):
        return _unexpected(error)
    log.error("out of file descriptors", exc_info=error)
    return _refused(errors.ServerFull())


def _unexpected(error: Exception) -> Response:
    log.error("the request failed", exc_info=error)
    return error_response(500, "Internal Server Error", "internal")
