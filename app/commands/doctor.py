"""`baton doctor`: is everything there that a server needs, and does the running one do what it should?"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain

import click

from app.commands import exits
from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.commands.terminal_output import clean, print_json
from app.selfcheck.finding import Finding
from app.selfcheck.machine_check import check_machine
from app.selfcheck.server_check import check_server

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.option(
    "--here/--no-here", default=True, help="Look at this machine: settings, database, agents, model."
)
@click.option("--there/--no-there", default=True, help="Look at the server, from outside.")
@json_option
@pass_asking
@click.pass_context
def command(context: click.Context, asking: ServerOptions, here: bool, there: bool) -> None:
    """Look for what is wrong, here and at the server.

    Each finding says what to do. Run the command where the server runs, with its environment: it asks the server at
    the address of BATON_BIND. Run it again with --no-here and the public --url to see the proxy from outside. It makes
    a session for a moment. Exit code 1 if something failed.
    """
    found: list[Finding] = []
    machine = check_machine(os.environ) if here else ()
    server = _check_server(asking) if there else ()
    for finding in chain(machine, server):
        found.append(finding)
        if not asking.as_json:
            _print(finding)
    if asking.as_json:
        print_json([asdict(one) for one in found])
    context.exit(exits.FAILED if any(one.state == "failed" for one in found) else exits.OK)


def _check_server(asking: ServerOptions) -> Iterable[Finding]:
    if asking.url is None:
        text = "BATON_BIND is a Unix socket, which is asked through its proxy"
        return [Finding("warning", "server", text, "say with --url where the proxy is")]
    return check_server(asking.url, asking.token)


def _print(finding: Finding) -> None:
    state = click.style(f"{finding.state:8}", fg=COLOURS[finding.state])
    click.echo(f"{state} {finding.subject}: {clean(finding.text)}")
    if finding.advice:
        click.echo(f"{'':8} → {clean(finding.advice)}")
