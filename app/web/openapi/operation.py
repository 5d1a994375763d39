"""The part of a route's description that Flask does not know: its bodies, parameters, answers and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.errors import AppError
from app.web.query_parameters import Parameter
from app.web.request_models import RequestModel

Messages = Literal["messages", "one message", "run"]
"""Bodies that are a list of messages, for a run with options beside it; all others are objects of a class."""


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """One status that is not a refusal. `shape` is the JSON's type, None for other media."""

    about: str
    shape: Any = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """A route's methods. `refusals` are those of its own; the refusals that every route can give are added to them.

    `body`: None for routes that read none. `unread_body`: bytes that come all the same are read off the connection
    within bounds. `is_open`: needs no token. `stores`: asks the database, which may not answer.
    """

    summary: str
    answers: Mapping[int, ResponseSpec]
    body: type[RequestModel] | Messages | None = None
    unread_body: bool = False
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[type[AppError], ...] = ()
    is_open: bool = False
    stores: bool = True
