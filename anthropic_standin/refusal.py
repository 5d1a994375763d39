"""The API's refusals: a status, a type and a sentence."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Refusal(Exception):
    """An error answer of the API.

    `blames_caller` is false for what a correct client can run into as well: capacity, a full context window.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        blames_caller: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        self.blames_caller = blames_caller
        self.retry_after = retry_after

    def body(self, request_id: str) -> Json:
        return error_body(self.kind, self.message, request_id)


def error_body(kind: str, message: str, request_id: str) -> Json:
    """The JSON of an error, the same as an answer's body and as an event in mid-stream."""
    error = {"type": kind, "message": message, "details": None}
    return {"type": "error", "error": error, "request_id": request_id}
