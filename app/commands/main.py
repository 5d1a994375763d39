"""The entry of the `baton` command."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

from app import distribution
from app.commands import exits
from app.commands.server_options import ServerOptions
from baton_client import BatonError, SessionBusyError

COMMANDS: Final = {
    "check": "app.commands.check",
    "db": "app.commands.db",
    "doctor": "app.commands.doctor",
    "queue": "app.commands.queue",
    "runs": "app.commands.runs",
    "send": "app.commands.send",
    "serve": "app.commands.serve",
    "sessions": "app.commands.sessions",
}
"""Imported when they are called: `baton runs ls` needs no database, and is not made to wait for one."""


class Commands(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name]).command
        return command

    def invoke(self, context: click.Context) -> Any:
        """The server's refusals, as one line and an exit code."""
        try:
            return super().invoke(context)
        except BatonError as error:
            _report(error, as_json=bool(context.obj and context.obj.as_json))
            context.exit(exits.exit_code(error))


def _report(error: BatonError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"message": str(error), **error.body}, ensure_ascii=False), err=True)
        return
    code = f" ({error.code})" if error.code else ""
    click.echo(f"baton: {error}{code}", err=True)
    if isinstance(error, SessionBusyError) and error.holder:
        holder = error.holder
        click.echo(
            f"baton: run {holder.get('id')} of {holder.get('agent')} has it, {holder.get('status')} "
            f"since {holder.get('started_at')}",
            err=True,
        )


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    envvar="BATON_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    help="The server.",
)
@click.option("--token", envvar="BATON_TOKEN", show_envvar=True, help="What it knows you by.")
@click.option("--json", "as_json", is_flag=True, help="Answer with JSON, for programs.")
@click.version_option(package_name=distribution.NAME)
@click.pass_context
def cli(context: click.Context, url: str, token: str | None, as_json: bool) -> None:
    """Serves Claude agents, and looks after their sessions.

    Each command explains itself: baton COMMAND --help.
    """
    context.obj = ServerOptions(url, token, as_json)


def main() -> None:
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = exits.INTERRUPTED
    except BrokenPipeError:  # the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exits.FAILED
    sys.exit(code if isinstance(code, int) else exits.OK)
