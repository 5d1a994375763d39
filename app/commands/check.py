"""`baton check`: what is wrong with agent files, before a server is told of them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from app.commands import exits
from app.commands.asking import Asking, json_option, pass_asking
from app.commands.output import print_json
from app.team.directory import EXTENSIONS
from app.team.loading import check_file
from app.team.problems import Problem
from app.team.schema import agent_file_schema


@click.command("check")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--schema", is_flag=True, help="Print the JSON Schema of agent files instead.")
@json_option
@pass_asking
@click.pass_context
def command(context: click.Context, asking: Asking, path: Path | None, schema: bool) -> None:
    """Check agent files: each problem in a line, with file, line and column.

    PATH is a file or a directory of them; default: BATON_AGENTS, or `agents`.
    """
    if schema:
        click.echo(json.dumps(agent_file_schema(), indent=2, ensure_ascii=False))
        return
    place = path or Path(os.environ.get("BATON_AGENTS") or "agents")
    if not place.exists():
        raise click.UsageError(f"{place} does not exist; say which agent files to check")
    files, problems = check(place)
    if asking.as_json:
        print_json({"files": [str(file) for file in files], "problems": [asdict(one) for one in problems]})
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(files)} files, {len(problems)} problems", err=True)
    context.exit(exits.FAILED if problems else exits.OK)


def check(place: Path) -> tuple[list[Path], list[Problem]]:
    """The files that a server would read there, and everything that is wrong with them."""
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in EXTENSIONS)
    return files, [problem for file in files for problem in check_file(file)]
