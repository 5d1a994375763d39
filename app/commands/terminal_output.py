"""The commands' output: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table

from app.commands.server_options import SHORT

# An agent's text may hold anything; what would move the cursor or colour the terminal is made visible instead.
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)

# Printable by Unicode's own book, and nothing is to be seen.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u180b\u180c\u180d\u2800\u3164\uffa0").union(
    map(chr, range(0xFE00, 0xFE10))
)


def clean(text: object) -> str:
    """Safe to be shown on a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text).replace("\r\n", "\n"))


def written_out(text: object) -> str:
    """For what a person decides about: nothing in it is invisible, or looks like something else for being so. Such
    characters are written as `\\u200b`."""
    return "".join(_visible(letter) for letter in str(text))


def _visible(letter: str) -> str:
    if letter == "\n" or (letter.isprintable() and letter not in _BLANK):
        return letter
    number = ord(letter)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def counted(number: int, thing: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def confirm_loss(question: str, *, yes: bool) -> None:
    """Asks on the terminal before something is lost; where nobody can be asked, only `--yes` lets it happen."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("there is no terminal to ask on: say --yes")
    click.confirm(question, abort=True, err=True)


yes_option = click.option("--yes", is_flag=True, help="Don't ask first.")


def on_terminal() -> bool:
    """Is there somebody who reads?"""
    return sys.stdout.isatty()


def short_id(whole: str) -> str:
    """For people the beginning, which every command takes as well; for pipes the whole."""
    return whole[:SHORT] if on_terminal() else whole


def short_time(stamp: str) -> str:
    """For people the time of day, with its date if that is not today's; for pipes the whole."""
    if not on_terminal():
        return stamp
    moment = datetime.fromisoformat(stamp).astimezone()
    today = moment.date() == datetime.now(moment.tzinfo).date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def print_json(value: Any) -> None:
    """Indented for people, in one line for pipes."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if on_terminal() else None))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table; or, in a pipe, lines of fields with tabs between, without a head."""
    if not on_terminal():
        for row in rows:
            click.echo("\t".join(_one_line(value) for value in row))
    elif rows:
        Console().print(make_table(columns, rows))
    else:
        click.echo(empty, err=True)


def make_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(_one_line(value)) for value in row))
    return table


def print_fields(fields: Mapping[str, object]) -> None:
    """One `name: value` a line; empty values are left out."""
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
            click.echo(f"{click.style(name, bold=True)}: {_one_line(shown)}")


def _one_line(value: object) -> str:
    return clean("" if value is None else value).replace("\n", " ").replace("\t", " ")


def _escaped(text: str) -> str:
    """Rich reads square brackets as its own markup."""
    return text.replace("[", r"\[")
