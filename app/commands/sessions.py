"""`baton sessions`: look at them, take them elsewhere, delete them."""

from __future__ import annotations

import json
from typing import TextIO

import click

from app.commands.completion import complete_session
from app.commands.message_lines import message_lines
from app.commands.server_options import ServerOptions, json_option, pass_asking, session_id
from app.commands.terminal_output import (
    confirm_loss,
    counted,
    on_terminal,
    print_fields,
    print_json,
    print_table,
    short_id,
    short_time,
    yes_option,
)
from baton_client import NewSession


@click.group("sessions")
def command() -> None:
    """List, show, export, import and delete sessions."""


@command.command("ls")
@click.option("--limit", type=click.IntRange(1), help="Only the newest so many.")
@json_option
@pass_asking
def ls(asking: ServerOptions, limit: int | None) -> None:
    """List sessions, newest first, with the state of their runs."""
    with asking.baton() as baton:
        sessions = baton.sessions()[:limit]
        live = {
            run["session_id"]: run["status"]
            for run in baton.runs(status=("running", "awaiting_approval", "awaiting_input"))
        }
    if asking.as_json:
        print_json([{**one, "status": live.get(one["id"], "free")} for one in sessions])
        return
    rows = [
        (
            short_id(one["id"]),
            live.get(one["id"], "free"),
            one["num_messages"],
            short_time(one["created_at"]),
            one["title"],
        )
        for one in sessions
    ]
    print_table(("ID", "STATUS", "MESSAGES", "CREATED", "TITLE"), rows, empty="There are no sessions.")


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Only so many.")
@json_option
@pass_asking
def search(asking: ServerOptions, words: tuple[str, ...], limit: int) -> None:
    """Find messages and titles by their words.

    All of the WORDS have to be there; the newest come first.
    Words in double quotes follow each other; quote them once more for the shell: '"blue crane"'.
    """
    with asking.baton() as baton:
        hits = baton.search_sessions(" ".join(words), limit=limit)
    if asking.as_json:
        print_json(hits)
        return
    rows = [
        (
            short_id(hit["session_id"]),
            hit.get("position", "title"),
            hit.get("role", ""),
            short_time(hit["created_at"]),
            hit["excerpt"],
        )
        for hit in hits
    ]
    print_table(("ID", "MESSAGE", "ROLE", "TIME", "TEXT"), rows, empty="nothing was found")


@command.command("show")
@click.argument("session", shell_complete=complete_session)
@json_option
@pass_asking
def show(asking: ServerOptions, session: str) -> None:
    """Show SESSION with its messages."""
    with asking.baton() as baton:
        found = baton.session(session_id(baton, session))
    if asking.as_json:
        print_json(found)
        return
    settings = ("id", "title", "created_at", "working_dir", "tools_approved", "thinking", "permissions")
    print_fields({name: found.get(name) for name in settings})
    if run := found.get("run"):
        print_fields({"run": run["id"], "status": run["status"], "waiting_for": run.get("waiting_for")})
    for line in message_lines(found.get("messages") or ()):
        click.echo(line)


@command.command("export")
@click.argument("session", shell_complete=complete_session)
@click.option("-o", "--output", type=click.File("w", lazy=True), default="-", help="A file; default: stdout.")
@json_option
@pass_asking
def export(asking: ServerOptions, session: str, output: TextIO) -> None:
    """Write SESSION as JSON, for `sessions import`."""
    with asking.baton() as baton:
        found = baton.session(session_id(baton, session))
    output.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")


@command.command("import")
@click.argument("file", type=click.File("r"))
@click.option("--working-dir", help="Where its tools work; default: as the file says.")
@json_option
@pass_asking
def import_session(asking: ServerOptions, file: TextIO, working_dir: str | None) -> None:
    """Make a session of an exported FILE (- for stdin).

    Prints the new session's id; in a pipe the id alone. Thinking and runs stay behind. A tool call whose result is not
    in the file gets one that says that its outcome is not known.
    """
    try:
        exported = json.load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    if not isinstance(exported, dict):
        raise click.ClickException(f"{file.name} is no exported session")
    if working_dir is not None:
        exported["working_dir"] = working_dir
    with asking.baton() as baton:
        made = baton.import_session(exported)
    _print_id(asking, made)


def _print_id(asking: ServerOptions, session: NewSession) -> None:
    if asking.as_json:
        print_json(session)
    else:
        if on_terminal():
            click.echo("imported as session ", err=True, nl=False)
        click.echo(session["id"])


@command.command("rm")
@click.argument("sessions", nargs=-1, required=True, shell_complete=complete_session)
@yes_option
@json_option
@pass_asking
def rm(asking: ServerOptions, sessions: tuple[str, ...], yes: bool) -> None:
    """Delete SESSIONS for good.

    A run at work is stopped first. Asks before it deletes; where there is no terminal to ask on, --yes is needed.
    """
    confirm_loss(f"Delete {counted(len(sessions), 'session')} for good?", yes=yes)
    with asking.baton() as baton:
        wanted = [session_id(baton, session) for session in sessions]
        for session in wanted:
            baton.delete_session(session)
    if asking.as_json:
        print_json({"deleted": wanted})
    else:
        click.echo(f"deleted {counted(len(wanted), 'session')}", err=True)
