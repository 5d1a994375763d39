"""Answers to requests that never get to the application."""

from __future__ import annotations

import json
from typing import Final

HEAD_BYTES: Final = 65_536

FORM_BYTES: Final = 65_536
"""The size of the form around a file that is uploaded."""

REFUSALS: Final = {
    408: ("Request Timeout", "request_timeout", "The request did not arrive in time."),
    431: (
        "Request Header Fields Too Large",
        "head_too_large",
        f"The head is longer than {HEAD_BYTES} bytes.",
    ),
    503: ("Service Unavailable", "server_full", "Too many large requests are arriving at once."),
}
"""By status: the reason, the code, and the message."""


def refusal(status: int) -> bytes:
    """Shaped as the application's errors are."""
    reason, code, message = REFUSALS[status]
    body = json.dumps({"message": message, "error": message, "code": code, "request_id": None}).encode()
    retry = "Retry-After: 2\r\n" if status == 503 else ""
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{retry}Connection: close\r\n\r\n".encode() + body
