"""Groups of routes of the Managed Agents API. Anthropic describes them, so the server's OpenAPI document does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, Literal, TypeVar

from flask import Flask

View = TypeVar("View", bound=Callable[..., Any])

_CALL: Final = "managed_call"


def _call(method: Literal["GET", "POST", "DELETE"], path: str) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _CALL, (method, path))
        return view

    return mark


get: Final = partial(_call, "GET")
post: Final = partial(_call, "POST")
delete: Final = partial(_call, "DELETE")


class Calls:
    """A class of routes. Its methods are called on many request threads at once."""

    prefix: ClassVar[str]

    def register(self, app: Flask) -> None:
        for name, view in vars(type(self)).items():
            if (call := getattr(view, _CALL, None)) is not None:
                method, path = call
                endpoint = f"managed.{type(self).__name__}.{name}"
                app.add_url_rule(self.prefix + path, endpoint, getattr(self, name), methods=[method])
