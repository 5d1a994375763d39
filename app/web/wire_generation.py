"""The generations of docker-agent's clients: which one a request is answered for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from flask import Flask, current_app

from app.web.query_parameters import Header

_CONFIG: Final = "BATON_WIRE"


class Generation(StrEnum):
    """What suits both is sent to both. Where it can't, this one decides."""

    LATER = "later"
    """docker-agent's clients from version 1.33 on."""

    MARCH = "march-2026"
    """Those from before 15 March 2026."""


WIRE: Final = Header(
    "Baton-Wire",
    "The form of the events that this client reads; `BATON_WIRE` says it for those that don't.",
    f"({'|'.join(Generation)})",
    f"Baton-Wire must be one of {', '.join(Generation)}",
)


def set_generation(app: Flask, generation: Generation) -> None:
    """The one of the clients that do not name theirs."""
    app.config[_CONFIG] = generation


def generation() -> Generation:
    """The generation of the request at work. InvalidRequest if it names one that there is not."""
    return Generation(WIRE.read() or current_app.config[_CONFIG])
