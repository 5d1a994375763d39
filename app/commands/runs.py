"""`baton runs`: the runs at work, and how to watch and stop one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.commands import exits
from app.commands.completion import complete_live_run, complete_run, complete_session
from app.commands.event_printer import EventPrinter
from app.commands.run_answers import answer, approve, reject
from app.commands.server_options import (
    STREAM_RETRY_SECONDS,
    ServerOptions,
    json_option,
    pass_asking,
    run_id,
    session_id,
)
from app.commands.terminal_output import (
    confirm_loss,
    make_table,
    on_terminal,
    print_fields,
    print_json,
    print_table,
    short_id,
    short_time,
    yes_option,
)
from baton_client import LIVE, BatonClient, Json, Run

COLUMNS = ("ID", "SESSION", "AGENT", "STATUS", "DOES", "STARTED", "HOLDER")
EVERY_SECONDS = 1.0


@click.group("runs")
def command() -> None:
    """Watch, answer and stop agents at work; look at earlier runs."""


@command.command("ls")
@click.option("--live", is_flag=True, help="Only runs at work.")
@click.option("--status", multiple=True, help="Only runs with this status; may be repeated.")
@click.option("--session", shell_complete=complete_session, help="Only runs of this session.")
@click.option("--holder", help="Only runs of this process: HOST, or HOST:PID.")
@click.option("--older-than", type=float, help="Only runs that began at least so many seconds ago.")
@json_option
@pass_asking
def ls(
    asking: ServerOptions,
    live: bool,
    status: tuple[str, ...],
    session: str | None,
    holder: str | None,
    older_than: float | None,
) -> None:
    """List runs, newest first, at most 100."""
    with asking.baton() as baton:
        found = baton.runs(
            status=(*status, *(LIVE if live else ())),
            session=session and session_id(baton, session),
            holder=holder,
            older_than=older_than,
        )
    if asking.as_json:
        print_json(found)
    else:
        print_table(COLUMNS, [_row(run) for run in found], empty="There are no such runs.")


def _row(run: Run) -> Sequence[object]:
    waits: Json = {}
    waits |= run.get("waiting_for") or {}
    does = run.get("tool") or waits.get("tool") or run.get("phase") or run.get("code") or ""
    return (
        short_id(run["id"]),
        short_id(run["session_id"]),
        run["agent"],
        run["status"],
        does,
        short_time(run["started_at"]),
        run["holder"],
    )


@command.command("show")
@click.argument("run", shell_complete=complete_run)
@json_option
@pass_asking
def show(asking: ServerOptions, run: str) -> None:
    """Show everything that is known about RUN."""
    with asking.baton() as baton:
        found = baton.get_run(run_id(baton, run))
    if asking.as_json:
        print_json(found)
    else:
        print_fields(found)


@command.command("watch")
@click.argument("run", required=False, shell_complete=complete_live_run)
@json_option
@pass_asking
@click.pass_context
def watch(context: click.Context, asking: ServerOptions, run: str | None) -> None:
    """Follow RUN to its end; without RUN, all runs at work.

    RUN is shown from its beginning, and is not disturbed. Without RUN the list is shown until Ctrl-C; in a pipe it is
    written whenever it changes.
    """
    with asking.baton(retry_seconds=STREAM_RETRY_SECONDS) as baton:
        if run is None:
            _watch_all(baton, as_json=asking.as_json)
        else:
            context.exit(_follow(baton, run_id(baton, run), as_json=asking.as_json))


def _follow(baton: BatonClient, run: str, *, as_json: bool) -> int:
    printer = EventPrinter(as_json=as_json)
    for event in baton.attach(run):
        printer.tell(event)
    printer.finish()
    return exits.FAILED if printer.failed else exits.OK


def _watch_all(baton: BatonClient, *, as_json: bool) -> None:
    if on_terminal() and not as_json and not Console().is_dumb_terminal:
        with Live(_table(baton), console=Console(), auto_refresh=False) as live:
            while True:
                time.sleep(EVERY_SECONDS)
                live.update(_table(baton), refresh=True)
    before: list[Json] | None = None
    while True:
        found = baton.runs(status=LIVE)
        seen = [{key: run.get(key) for key in ("id", "status", "phase", "tool")} for run in found]
        if seen != before and as_json:
            print_json(found)
        elif seen != before:
            print_table(COLUMNS, [_row(run) for run in found], empty="")
        before = seen
        time.sleep(EVERY_SECONDS)


def _table(baton: BatonClient) -> Table:
    table = make_table(COLUMNS, [_row(run) for run in baton.runs(status=LIVE)])
    table.caption = f"{baton.url}, {time.strftime('%H:%M:%S')}"
    return table


command.add_command(approve)
command.add_command(reject)
command.add_command(answer)


@command.command("cancel")
@click.argument("run", shell_complete=complete_live_run)
@click.option("--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for its end.")
@click.option("--safe-point", is_flag=True, help="Let the tool calls under way finish first.")
@json_option
@pass_asking
@click.pass_context
def cancel(context: click.Context, asking: ServerOptions, run: str, wait: float, safe_point: bool) -> None:
    """Stop RUN, and keep what it has said so far."""
    with asking.baton() as baton:
        found = baton.get_run(run_id(baton, run))
        stopped = baton.cancel(
            found["session_id"], run_id=found["id"], wait_seconds=wait, at_safe_point=safe_point
        )
    _print_run(asking, stopped)
    context.exit(exits.FAILED if stopped["status"] in LIVE else exits.OK)


@command.command("release")
@click.argument("run", shell_complete=complete_live_run)
@click.option("--reason", default="", help="The reason, which is kept with the run.")
@yes_option
@json_option
@pass_asking
def release(asking: ServerOptions, run: str, reason: str, yes: bool) -> None:
    """Take the session away from a RUN that can't be cancelled.

    Whatever its process does: what it has not stored yet is lost. Asks first; where there is no terminal to ask on,
    --yes is needed.
    """
    confirm_loss(f"Take the session away from run {run}?", yes=yes)
    with asking.baton() as baton:
        _print_run(asking, baton.release(run_id(baton, run), reason))


def _print_run(asking: ServerOptions, run: Run) -> None:
    if asking.as_json:
        print_json(run)
    else:
        click.echo(f"{run['id']} is {run['status']}")
