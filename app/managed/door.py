"""The door of the Managed Agents API: its headers, the order of its checks, and its refusals."""

from __future__ import annotations

import re
from typing import Any, Final

from flask import Response, g, request

from app.errors import InvalidRequest, NotFound
from app.web.door import Door, Json

BETAS: Final = frozenset({"managed-agents-2026-04-01", "agent-memory-2026-07-22"})

WITHOUT_BETA: Final = ("/v1/files", "/v1/skills")
"""Prefixes of routes that are no beta any more; older clients send the name of a beta of their own there."""

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    412: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_DETAILS: Final = ("error_code", "current_state")
_SYNTAX: Final = (405, 411, 415, 422)  # which this API calls 400


class ManagedDoor(Door):
    prefix = "/v1/"

    def admit(self) -> None:
        """An unknown route is unknown to everybody."""
        if request.routing_exception is not None and getattr(request.routing_exception, "code", 0) == 404:
            raise NotFound("Not found")

    def shown_token(self) -> str:
        """The official clients send their key as a bearer's token, older ones in a header of its own."""
        return super().shown_token() or request.headers.get("x-api-key", "").strip()

    def enter(self) -> None:
        given = ",".join(request.headers.getlist("anthropic-beta"))
        needs_beta = not request.path.startswith(WITHOUT_BETA)
        if needs_beta and BETAS.isdisjoint(name.strip() for name in given.split(",")):
            raise NotFound("not found")
        if not request.headers.get("anthropic-version"):
            raise InvalidRequest("anthropic-version: header is required")

    def refusal(self, status: int, message: str, code: str, details: Json) -> tuple[int, Json]:
        """`details` holds the word that an official client raises a class of its own for, if there is one, and what of
        the error this door writes in another way (`in_error`)."""
        if code == "unauthorized":
            message = "Authentication failed"
        status = 400 if status in _SYNTAX else status
        error: dict[str, Any] = {"type": _KINDS.get(status, "api_error"), "message": message}
        if details.get("error_code"):
            error["details"] = {name: value for name, value in details.items() if name in _DETAILS}
        error |= details.get("in_error", {})
        return status, {"type": "error", "error": error, "request_id": _request_id()}

    def stamp(self, response: Response) -> None:
        response.headers["request-id"] = _request_id()


def _request_id() -> str:
    return "req_" + re.sub(r"^req_", "", g.request_id)
