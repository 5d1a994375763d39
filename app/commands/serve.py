"""`baton serve`: gunicorn, as the project sets it up."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import click

import app
from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.distribution import is_checkout


@click.command("serve", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@pass_asking
def command(asking: ServerOptions, arguments: tuple[str, ...]) -> None:
    """Serve, with the settings in the environment.

    ARGUMENTS are passed on to gunicorn. Logs are JSON lines with --json. The database is migrated at the start.
    """
    if asking.as_json:
        os.environ["BATON_LOG_STYLE"] = "json"
    gunicorn = [
        sys.executable,
        "-P",  # with -m alone the current directory comes first: its `app`, its `secrets`
        "-m",
        "gunicorn",
        "-c",
        str(home() / "gunicorn.conf.py"),
    ]
    os.execv(sys.executable, [*gunicorn, *arguments])  # noqa: S606 - it becomes the server


def home() -> Path:
    """Where gunicorn.conf.py and wsgi.py are: the checkout, or where an installed package keeps them."""
    beside = Path(app.__file__).parents[1]
    place = beside if is_checkout(beside) else Path(sysconfig.get_path("data")) / "share" / "baton"
    if (place / "gunicorn.conf.py").exists():
        return place
    raise click.ClickException("gunicorn.conf.py is missing: install baton again")
