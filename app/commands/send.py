"""`baton send`: say something to an agent and see what it does."""

from __future__ import annotations

import json
import sys
from typing import cast

import click

from app.commands import exits
from app.commands.completion import complete_agent, complete_session_or_new
from app.commands.event_printer import EventPrinter
from app.commands.questions import QUESTIONS, Approve, answer
from app.commands.server_options import (
    STREAM_RETRY_SECONDS,
    ServerOptions,
    json_option,
    pass_asking,
    session_id,
)
from baton_client import BatonClient


@click.command("send")
@click.argument("session", shell_complete=complete_session_or_new)
@click.argument("text")
@click.option(
    "--agent",
    default="assistant",
    show_default=True,
    shell_complete=complete_agent,
    help="The agent: FILE or FILE/NAME.",
)
@click.option(
    "--approve",
    type=click.Choice(["ask", "all", "none"]),
    default="ask",
    show_default=True,
    help="Tool calls that need approval: ask on the terminal, allow all of this run, or reject all.",
)
@click.option(
    "--when-busy",
    type=click.Choice(["reject", "wait", "interrupt", "queue"]),
    default="reject",
    show_default=True,
    help="What to do if somebody else has the session.",
)
@click.option("--working-dir", help="For a new session: where its tools work.")
@json_option
@pass_asking
@click.pass_context
def command(
    context: click.Context,
    asking: ServerOptions,
    session: str,
    text: str,
    agent: str,
    approve: str,
    when_busy: str,
    working_dir: str | None,
) -> None:
    """Send a message and follow the run to its end.

    Sends TEXT (- for stdin) to SESSION (`new` for a new one). The agent's words go to stdout, tool calls and questions
    to stderr. Ctrl-C stops the run. Without a terminal, a run that asks a question is left waiting, and the exit code
    is 7.
    """
    said = sys.stdin.read() if text == "-" else text
    with asking.baton(retry_seconds=STREAM_RETRY_SECONDS) as baton:
        if session == "new":
            session = str(baton.create_session(working_dir=working_dir)["id"])
            click.echo(
                json.dumps({"session_id": session}) if asking.as_json else f"session {session}", err=True
            )
        session = session_id(baton, session)
        if when_busy == "queue":
            waiting = baton.follow_up(session, said)
            click.echo(json.dumps(waiting) if asking.as_json else f"queued {waiting[0]['id']}")
            return
        context.exit(_converse(baton, session, said, agent, approve, when_busy, as_json=asking.as_json))


def _converse(
    baton: BatonClient, session: str, text: str, agent: str, approve: str, when_busy: str, *, as_json: bool
) -> int:
    printer = EventPrinter(as_json=as_json)
    with baton.run(session, text, agent=agent, when_busy=when_busy) as run:  # type: ignore[arg-type]  # Click checked it
        for event in run:
            printer.tell(event)
            if isinstance(event, QUESTIONS) and not answer(run, event, cast("Approve", approve), printer):
                run.detach()
                printer.note(f"run {run.id} waits for an answer")
                return exits.WAITING
        printer.finish()
        ended = baton.get_run(run.id)
    if ended["status"] == "finished":
        return exits.OK
    printer.note(
        f"the run was {ended['status']}" if ended["status"] != "failed" else "the run failed", fg="red"
    )
    return exits.FAILED
