"""Groups of routes of the Managed Agents API. Anthropic describes them, so the server's OpenAPI document does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Literal, TypeVar

from flask import Flask

from app.web.worker_routes import OPEN_TO

View = TypeVar("View", bound=Callable[..., Any])

_CALL: Final = "managed_call"


def _call(
    method: Literal["GET", "POST", "PATCH", "DELETE"], path: str, *, workers: Sequence[str] = ()
) -> Callable[[View], View]:
    """`workers` are the kinds of workers' tokens that may ask it."""

    def mark(view: View) -> View:
        setattr(view, _CALL, [*getattr(view, _CALL, ()), (method, path)])
        setattr(view, OPEN_TO, workers)
        return view

    return mark


get: Final = partial(_call, "GET")
post: Final = partial(_call, "POST")
patch: Final = partial(_call, "PATCH")
delete: Final = partial(_call, "DELETE")


class Calls:
    """A class of routes. Its methods are called on many request threads at once."""

    prefix: ClassVar[str]

    def register(self, app: Flask) -> None:
        for name, view in vars(type(self)).items():
            endpoint = f"managed.{type(self).__name__}.{name}"
            for method, path in getattr(view, _CALL, ()):
                app.add_url_rule(self.prefix + path, endpoint, getattr(self, name), methods=[method])
