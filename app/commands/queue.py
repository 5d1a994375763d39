"""`baton queue`: messages that wait for a run."""

from __future__ import annotations

import click

from app.commands.server_options import ServerOptions, json_option, pass_asking, session_id
from app.commands.terminal_output import print_json, print_table


@click.group("queue")
def command() -> None:
    """Messages that wait."""


@command.command("ls")
@click.argument("session")
@json_option
@pass_asking
def ls(asking: ServerOptions, session: str) -> None:
    """List what waits for SESSION, in order."""
    with asking.baton() as baton:
        waiting = baton.queue(session_id(baton, session))
    if asking.as_json:
        print_json(waiting)
        return
    rows = [(one["id"], one["kind"], one["created_at"], one["created_by"], one["content"]) for one in waiting]
    print_table(("ID", "KIND", "SINCE", "BY", "MESSAGE"), rows, empty="nothing waits")


@command.command("drop")
@click.argument("session")
@click.argument("messages", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that waits.")
@json_option
@pass_asking
def drop(asking: ServerOptions, session: str, messages: tuple[str, ...], everything: bool) -> None:
    """Withdraw MESSAGES (their ids) before a run takes them."""
    if bool(messages) == everything:
        raise click.UsageError("name messages, or say --all")
    with asking.baton() as baton:
        session = session_id(baton, session)
        wanted = messages or tuple(one["id"] for one in baton.queue(session))
        for message in wanted:
            baton.withdraw(session, message)
    if asking.as_json:
        print_json({"dropped": list(wanted)})
    else:
        click.echo(f"dropped {len(wanted)}", err=True)
