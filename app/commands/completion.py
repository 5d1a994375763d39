"""`baton completion`: what a shell needs to complete commands, and what it can complete from the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from app.commands.server_address import server_address
from app.commands.server_options import json_option

if TYPE_CHECKING:
    from baton_client import BatonClient

SECONDS: Final = 1.0
"""A person who presses Tab is not made to wait for longer than that, and not told why nothing came."""

SHELLS: Final = ("bash", "zsh", "fish")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    bash: eval "$(baton completion bash)" in ~/.bashrc
    zsh:  eval "$(baton completion zsh)" in ~/.zshrc
    fish: baton completion fish > ~/.config/fish/completions/baton.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "baton", "_BATON_COMPLETE").source())


def _from_server(found: Callable[[BatonClient], Iterable[tuple[str, str]]]) -> Complete:
    """Completes with values and what a shell may show beside them; with nothing if the server does not answer."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        options = context.find_root().params
        url = options.get("url") or server_address(os.environ)
        if url is None:
            return []
        client: Any = import_module("baton_client").BatonClient
        try:
            with client(
                url,
                options.get("token"),
                connect_seconds=SECONDS,
                idle_seconds=SECONDS,
                retry_seconds=0.0,
            ) as baton:
                return [
                    CompletionItem(value, help=_in_line(about) or None)
                    for value, about in found(baton)
                    if value.startswith(typed)
                ]
        except Exception:  # a shell that completes has no place to tell of a failure
            return []

    return complete


def _in_line(text: str) -> str:
    """The scripts of the shells split at lines and commas of their own; titles are by models."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


complete_session = _from_server(lambda baton: ((one["id"], one["title"]) for one in baton.sessions()))
complete_session_or_new = _from_server(
    lambda baton: [("new", "a new session"), *((one["id"], one["title"]) for one in baton.sessions())]
)
complete_run = _from_server(
    lambda baton: ((run["id"], f"{run['agent']}, {run['status']}") for run in baton.runs())
)
complete_live_run = _from_server(
    lambda baton: (
        (run["id"], f"{run['agent']}, {run['status']}")
        for run in baton.runs(status=("running", "awaiting_approval", "awaiting_input"))
    )
)
complete_agent = _from_server(
    lambda baton: ((agent["name"], agent.get("description") or "") for agent in baton.agents())
)
