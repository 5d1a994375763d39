"""The options of all commands: the server they ask, the token they use, and whether they answer in JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from baton_client import BatonClient

F = TypeVar("F", bound=Callable[..., Any])

RETRY_SECONDS: Final = 5.0
"""A person at a terminal would rather be told. A stream that drops is taken up again for longer."""

STREAM_RETRY_SECONDS: Final = 60.0


@dataclass(slots=True)
class ServerOptions:
    """Filled in by the options of the group and of the command."""

    url: str | None
    """None if the settings here name a Unix socket."""
    token: str | None
    as_json: bool = False

    def baton(self, *, retry_seconds: float = RETRY_SECONDS) -> BatonClient:
        if self.url is None:
            raise click.UsageError("BATON_BIND is a Unix socket: say with --url where its proxy is")
        client: BatonClient = import_module("baton_client").BatonClient(
            self.url, self.token, retry_seconds=retry_seconds
        )
        return client


def json_option(command: F) -> F:
    """`--json` may stand before the command's name or after it."""

    def note(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        asking = context.find_object(ServerOptions)
        if asking is not None:
            asking.as_json = asking.as_json or value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=note, help="Answer with JSON, for programs."
    )
    return option(command)


SHORT: Final = 8
"""Characters of an id that tables show."""

WHOLE: Final = 12
"""An id of so many characters is taken as it is."""


def run_id(baton: BatonClient, given: str) -> str:
    """The whole id of one of the newest runs, of which its beginning was given."""
    return given if len(given) >= WHOLE else _whole(given, [run["id"] for run in baton.runs()])


def session_id(baton: BatonClient, given: str) -> str:
    """The whole id of a session, of which its beginning was given."""
    return given if len(given) >= WHOLE else _whole(given, [session["id"] for session in baton.sessions()])


def _whole(given: str, ids: list[str]) -> str:
    found = [one for one in ids if one.startswith(given)]
    if len(found) > 1:
        raise click.UsageError(f"{given} is the beginning of {len(found)} ids: give more of it")
    return found[0] if found else given  # which the server does not know; it says so


pass_asking = click.make_pass_decorator(ServerOptions)
