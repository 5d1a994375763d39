"""`baton queue`: messages that wait for a run."""

from __future__ import annotations

import click

from app.commands.completion import complete_session
from app.commands.server_options import ServerOptions, json_option, pass_asking, session_id
from app.commands.terminal_output import confirm_loss, counted, print_json, print_table, yes_option


@click.group("queue")
def command() -> None:
    """List or drop messages that wait for a run."""


@command.command("ls")
@click.argument("session", shell_complete=complete_session)
@json_option
@pass_asking
def ls(asking: ServerOptions, session: str) -> None:
    """List the messages that wait for SESSION, in order."""
    with asking.baton() as baton:
        waiting = baton.queue(session_id(baton, session))
    if asking.as_json:
        print_json(waiting)
        return
    rows = [(one["id"], one["kind"], one["created_at"], one["created_by"], one["content"]) for one in waiting]
    print_table(("ID", "KIND", "SINCE", "BY", "MESSAGE"), rows, empty="No message waits.")


@command.command("drop")
@click.argument("session", shell_complete=complete_session)
@click.argument("messages", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@yes_option
@json_option
@pass_asking
def drop(asking: ServerOptions, session: str, messages: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Withdraw MESSAGES (their ids) before a run takes them.

    With --all it asks first; where there is no terminal to ask on, --all needs --yes.
    """
    if bool(messages) == everything:
        raise click.UsageError("give the ids of messages, or --all")
    if everything:
        confirm_loss("Drop all messages that wait?", yes=yes)
    with asking.baton() as baton:
        session = session_id(baton, session)
        wanted = messages or tuple(one["id"] for one in baton.queue(session))
        for message in wanted:
            baton.withdraw(session, message)
    if asking.as_json:
        print_json({"dropped": list(wanted)})
    else:
        click.echo(f"dropped {counted(len(wanted), 'message')}", err=True)
