"""`baton check`: mistakes in agent files, before a server is told of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click

from app.agent.agent_lint import lint
from app.commands import exits
from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.commands.terminal_output import counted, print_json
from app.team.loading import look_at_file
from app.team.problems import Problem
from app.team.schema import agent_file_schema
from app.team.team_directory import check_files


@click.command("check")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Count warnings as problems.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of agent files instead.")
@json_option
@pass_asking
@click.pass_context
def command(
    context: click.Context, asking: ServerOptions, path: Path | None, strict: bool, schema: bool
) -> None:
    """Check agent files: file, line and column of each problem.

    A warning is about something that loads and will hardly do what it is meant to on this machine: a name that nothing
    has, a toolset that can't be built. With --strict it counts as a problem.

    PATH is a file or a directory of them; default: BATON_AGENTS, or `agents`.
    """
    if schema:
        click.echo(json.dumps(agent_file_schema(), indent=2, ensure_ascii=False))
        return
    place = path or Path(os.environ.get("BATON_AGENTS") or "agents")
    if not place.exists():
        raise click.UsageError(f"{place} does not exist; say which agent files to check")
    files, problems = check_files(place)
    warnings = doubtful(files)
    if strict:
        problems, warnings = sorted([*problems, *warnings]), []
    if asking.as_json:
        found = {"problems": [asdict(one) for one in problems], "warnings": [asdict(one) for one in warnings]}
        print_json({"files": [str(file) for file in files], **found})
    else:
        for problem in problems:
            click.echo(str(problem))
        for warning in warnings:
            click.echo(str(replace(warning, text=f"warning: {warning.text}")))
        counts = f"{counted(len(files), 'file')}, {counted(len(problems), 'problem')}"
        click.echo(f"{counts}, {counted(len(warnings), 'warning')}" if warnings else counts, err=True)
    context.exit(exits.FAILED if problems else exits.OK)


def doubtful(files: Sequence[Path]) -> list[Problem]:
    """Everything in them that will hardly do what it is meant to on this machine."""
    look = partial(lint, environment=os.environ)
    return [warning for file in files for warning in look_at_file(file, look)]
