"""`baton send`: say something to an agent and see what it does."""

from __future__ import annotations

import json
import sys
from typing import Literal

import click

from app.commands import exits
from app.commands.completion import complete_agent, complete_session_or_new
from app.commands.event_printer import EventPrinter
from app.commands.server_options import (
    STREAM_RETRY_SECONDS,
    ServerOptions,
    json_option,
    pass_asking,
    session_id,
)
from baton_client import (
    BatonClient,
    ConflictError,
    FormEvent,
    MoreIterationsEvent,
    RunStream,
    StreamEvent,
    ToolApprovalEvent,
)

Remember = Literal["", "tool", "session"]
CHOICES: dict[str, Remember] = {"y": "", "t": "tool", "s": "session"}


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
            if isinstance(event, ToolApprovalEvent | MoreIterationsEvent | FormEvent) and not _answer(
                run, event, approve, printer
            ):
                run.detach()
                printer.note(f"run {run.id} waits for an answer")
                return exits.WAITING
        printer.finish()
        ended = baton.get_run(run.id)
    if ended["status"] == "finished":
        return exits.OK
    printer.note(f"the run is {ended['status']}", fg="red")
    return exits.FAILED


def _answer(run: RunStream, event: StreamEvent, approve: str, printer: EventPrinter) -> bool:
    """False if nobody is there to be asked."""
    try:
        match event:
            case FormEvent() if approve == "ask" and sys.stdin.isatty():
                _fill_in(run)
            case FormEvent() if approve == "none":
                run.elicit(action="decline")
            case ToolApprovalEvent(call_id=call_id) if approve != "ask":
                _decide(run, call_id, "y" if approve == "all" else "n")
            case MoreIterationsEvent() if approve != "ask":
                _decide(run, None, "y" if approve == "all" else "n")
            case ToolApprovalEvent(call_id=call_id) if sys.stdin.isatty():
                question = "y: yes, t: this tool always, s: all in this session, n: no, c: stop the run"
                _decide(run, call_id, _ask(question, ["y", "t", "s", "n", "c"]))
            case MoreIterationsEvent() if sys.stdin.isatty():
                _decide(run, None, _ask("y: yes, n: no", ["y", "n"]))
            case _:
                return False
    except ConflictError as error:  # somebody else was quicker
        printer.note(f"! {error}: {error.body.get('decided_by') or error.code}", fg="yellow")
    return True


def _ask(question: str, choices: list[str]) -> str:
    click.echo(f"  {question}", err=True)
    return str(click.prompt("  Allow it?", type=click.Choice(choices), show_choices=True, err=True))


def _decide(run: RunStream, call_id: str | None, choice: str) -> None:
    if choice == "c":
        run.cancel()
    elif choice == "n":
        asked = call_id is not None and sys.stdin.isatty()
        reason = (
            click.prompt("  Why not? (for the agent)", default="", show_default=False, err=True)
            if asked
            else ""
        )
        run.reject(call_id, reason=reason)
    else:
        run.approve(call_id, remember=CHOICES[choice])


def _fill_in(run: RunStream) -> None:
    """One answer as text, or JSON for a form with fields."""
    answer = click.prompt(
        "  Answer (JSON for a form with fields, empty to decline)", default="", show_default=False, err=True
    )
    if not answer:
        run.elicit(action="decline")
        return
    try:
        parsed = json.loads(answer)
    except ValueError:
        parsed = answer
    run.elicit(parsed if isinstance(parsed, dict) else {"answer": answer})
