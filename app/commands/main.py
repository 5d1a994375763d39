"""The entry of the `baton` command. A command's module is imported when the command is called, not before: `--help` and
completion wait for no library that they don't use."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from app import distribution
from app.commands import exits
from app.commands.colours import wants_colours
from app.commands.server_address import DEFAULT, server_address
from app.commands.server_options import ServerOptions

COMMANDS: Final = {
    "chat": "Talk to an agent in the terminal.",
    "check": "Check agent files: file, line and column of each problem.",
    "completion": "Print the completion script for a shell.",
    "db": "Upgrade, prune or vacuum the database.",
    "deploy": "Print files for systemd, nginx or compose.",
    "doctor": "Look for what is wrong, here and at the server.",
    "init": "Make an agent file in ./agents.",
    "queue": "List or drop messages that wait for a run.",
    "runs": "Watch, answer and stop agents at work.",
    "send": "Send a message and follow the run to its end.",
    "serve": "Serve, with the settings in the environment.",
    "sessions": "List, show, export, import and delete sessions.",
}
"""The modules of `app.commands` with a command each, and what `--help` says of it."""


class Commands(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"app.commands.{name}").command
        return command

    # Click's own two of these would import each command to ask it for its first sentence.

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [(name, about) for name, about in COMMANDS.items() if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=about) for name, about in commands),
            *click.Command.shell_complete(self, context, incomplete),
        ]

    def invoke(self, context: click.Context) -> Any:
        """The server's refusals, as one line and an exit code."""
        try:
            return super().invoke(context)
        except Exception as error:
            client = sys.modules.get("baton_client")
            if client is None or not isinstance(error, client.BatonError):
                raise
            refusals = import_module("app.commands.refusals")
            refusals.report(error, as_json=bool(context.obj and context.obj.as_json))
            context.exit(refusals.exit_code(error))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    envvar="BATON_URL",
    show_envvar=True,
    help=f"The server.  [default: the address of BATON_BIND, or {DEFAULT}]",
)
@click.option("--token", envvar="BATON_TOKEN", show_envvar=True, help="The access token for the server.")
@click.option("--json", "as_json", is_flag=True, help="Answer with JSON, for programs.")
@click.version_option(package_name=distribution.NAME)
@click.pass_context
def cli(context: click.Context, url: str | None, token: str | None, as_json: bool) -> None:
    """Serve Claude agents, talk to them, and look after their sessions.

    Each command explains itself: baton COMMAND --help.
    """
    context.color = wants_colours(os.environ)
    context.obj = ServerOptions(url or server_address(os.environ), token, as_json)


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
