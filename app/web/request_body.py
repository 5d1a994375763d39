"""Reads a request's body. Refusals say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest, RequestTooLarge

B = TypeVar("B", bound=BaseModel)


def read(
    kind: type[B], *, shape: Callable[[dict[str, Any]], dict[str, Any]] = dict, or_null: bool = False
) -> B:
    """The request's body as that kind; an empty body stands for an empty object, and so does null with `or_null`.
    `shape` makes one of another kind."""
    raw = _raw()
    if not raw:
        return validated(kind, {})
    if request.mimetype != "application/json":
        raise InvalidRequest(
            "invalid request body: code=415, message=Unsupported Media Type; send Content-Type: application/json"
        )
    value = _parsed(raw)
    if value is None and or_null:
        return validated(kind, {})
    if not isinstance(value, dict):
        raise InvalidRequest("invalid request body: it must be a JSON object", status=422)
    return validated(kind, shape(value))


def posted_json() -> Any:
    raw = _raw()
    if not raw:
        raise InvalidRequest("invalid request body: EOF; send a JSON array of messages")
    return _parsed(raw)


def skip_body() -> None:
    """For routes that need no body: whatever came is read off the connection, within the same bounds."""
    _raw()


def _raw() -> bytes:
    """A body without a stated length could be cut short unseen, so it is not read."""
    if request.content_length is None and request.headers.get("Transfer-Encoding"):
        raise InvalidRequest("send a Content-Length; chunked bodies are not read", status=411)
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestTooLarge(f"The body is larger than {limit} bytes.")
    return request.get_data(cache=False)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"invalid request body: code=400, message=Syntax error: offset={error.pos}, error={error.msg}"
        ) from None


def validated(kind: type[B], value: dict[str, Any]) -> B:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    message = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"invalid request body: {where}: {message}", status=422)
