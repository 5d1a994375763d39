"""A door: the manners of the routes below one prefix. How a caller shows a token there, and how a refusal reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from flask import Response, g, request

Json = Mapping[str, Any]


class Door:
    """Baton's own door. Another one overrides what is different there; all methods run within a request."""

    prefix: ClassVar[str] = ""

    def admit(self) -> None:
        """Refuses what is refused before a token is looked at."""

    def shown_token(self) -> str:
        """The token that the request shows; empty if it shows none."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return given.strip() if scheme.lower() == "bearer" else ""

    def enter(self) -> None:
        """Refuses what is refused once the caller is known."""

    def refusal(self, status: int, message: str, code: str, details: Json) -> tuple[int, Json]:
        """The status and the body of a refusal. `error` repeats the message for the contract's client, which looks for
        that key."""
        words = {"message": message, "error": message, "code": code, "request_id": g.get("request_id")}
        return status, {**details, **words}

    def stamp(self, response: Response) -> None:
        """Adds what every answer of this door carries."""


OWN: Final = Door()


def door() -> Door:
    """The door that the request at work has come through."""
    found: Door = g.get("door", OWN)
    return found
