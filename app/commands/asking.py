"""What all commands share: which server they ask, with which token, and whether they answer in JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from app.client import Baton

F = TypeVar("F", bound=Callable[..., Any])

RETRY_SECONDS = 5.0
"""A person at a terminal would rather be told. A stream that drops is taken up again for longer."""

STREAM_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class Asking:
    """Filled in by the options of the group and of the command."""

    url: str
    token: str | None
    as_json: bool = False

    def baton(self, *, retry_seconds: float = RETRY_SECONDS) -> Baton:
        return Baton(self.url, self.token, retry_seconds=retry_seconds)


def json_option(command: F) -> F:
    """`--json` may stand before the command's name or after it."""

    def note(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        asking = context.find_object(Asking)
        if asking is not None:
            asking.as_json = asking.as_json or value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=note, help="Answer with JSON, for programs."
    )
    return option(command)


pass_asking = click.make_pass_decorator(Asking)
