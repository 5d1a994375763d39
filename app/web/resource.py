"""Resources: groups of routes, each a method with its entry for the OpenAPI document above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Literal, TypeVar

from flask import Flask

from app.errors import AppError
from app.web.posted_messages import MessagesBody
from app.web.query_parameters import PRETTY, Parameter
from app.web.request_models import RequestModel
from app.web.response_json import MessageJson, UpdatedJson

View = TypeVar("View", bound=Callable[..., Any])

_ROUTE: Final = "route"


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """One status that is not a refusal. `shape` is the JSON's type; None: there is no body."""

    about: str
    shape: Any = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A decorator that makes a route of a resource's method. `refusals` are those of its own; the refusals that every
    route can give are added to them.

    `path` follows the resource's prefix. `body`: None for routes that read none. `unread_body`: bytes that come all
    the same are read off the connection within bounds. `is_open`: needs no token. `stores`: asks the database, which
    may not answer.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str | tuple[str, ...]
    summary: str
    answers: Mapping[int, ResponseSpec]
    body: type[RequestModel] | MessagesBody | None = None
    unread_body: bool = False
    parameters: tuple[Parameter, ...] = (PRETTY,)
    refusals: tuple[type[AppError], ...] = ()
    is_open: bool = False
    stores: bool = True

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def __call__(self, view: View) -> View:
        setattr(view, _ROUTE, self)
        return view


class Resource:
    """A resource's methods are called on many request threads at once.

    `name` is its tag in the document, and the beginning of its endpoints; two resources may share it.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""

    def register(self, app: Flask) -> None:
        for name, view in vars(type(self)).items():
            if (route := route_of(view)) is None:
                continue
            for path in route.paths:
                app.add_url_rule(
                    self.prefix + path,
                    endpoint=f"{self.name}.{name}",
                    view_func=getattr(self, name),
                    methods=[route.method],
                )


def route_of(view: object) -> Route | None:
    """The entry of a view; None for what is no view of a resource."""
    route: Route | None = getattr(view, _ROUTE, None)
    return route


DONE: Final = ResponseSpec("It is done.", MessageJson)
NULL: Final = ResponseSpec("It is done.", type(None))
UPDATED: Final = ResponseSpec("It is changed.", UpdatedJson)

get: Final = partial(Route, "GET")
post: Final = partial(Route, "POST")
patch: Final = partial(Route, "PATCH")
delete: Final = partial(Route, "DELETE")
static: Final = partial(Route, "GET", is_open=True, stores=False, parameters=())
"""For pages and files that are the same for everybody."""
