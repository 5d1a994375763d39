"""`baton init`: an agent file to begin with."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import click

from app.commands.server_options import ServerOptions, json_option, pass_asking
from app.commands.terminal_output import print_json

HANDS: Final = {
    "none": "    toolsets:\n      - type: think\n",
    "web": "    toolsets:\n      - type: think\n      - type: fetch\n        timeout: 30\n",
    "files": "    toolsets:\n      - type: think\n      - type: todo\n      - type: filesystem\n",
    "shell": "    toolsets:\n      - type: think\n      - type: todo\n      - type: filesystem\n      - type: shell\n",
}
"""What an agent may use. Whatever changes something is asked about before it runs."""

FILE: Final = """\
# An agent of Baton. `baton check` says what is wrong in this file; a server reads it again when it has changed.
version: "7"

agents:
  root:
    model: {model}
    description: {description}
    instruction: |
      You are a careful assistant. Answer in the language of the question, as briefly as the question allows, and say
      so when you are not sure.
    add_date: true
{toolsets}"""

_NO_TEXTS: Final = ("true", "false", "null", "yes", "no", "on", "off")

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@click.command("init")
@click.argument("name", required=False)
@click.option("--description", help="What the agent is for, in a sentence.")
@click.option("--model", help="PROVIDER/MODEL, or auto for the server's choice.  [default: auto]")
@click.option("--tools", type=click.Choice(list(HANDS)), help="What the agent may use.  [default: web]")
@click.option("--directory", type=click.Path(path_type=Path), help="Default: BATON_AGENTS, or agents.")
@json_option
@pass_asking
def command(
    asking: ServerOptions,
    name: str | None,
    description: str | None,
    model: str | None,
    tools: str | None,
    directory: Path | None,
) -> None:
    """Make an agent file in ./agents.

    On a terminal it asks for what the options don't say. A file that is there is never overwritten.
    """
    name = name or _asked("Name of the agent", "assistant")
    if not NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name: letters, digits, - and _")
    description = description or _asked("What is it for", "A careful assistant that answers questions")
    model = model or _asked("Model", "auto")
    tools = tools or _asked("What may it use", "web", choices=list(HANDS))
    path = (directory or Path(os.environ.get("BATON_AGENTS") or "agents")) / f"{name}.yaml"
    text = FILE.format(
        model=_quoted(model),
        description=_quoted(description),
        toolsets=HANDS[tools],
    )
    _write(path, text)
    if asking.as_json:
        print_json({"file": str(path), "agent": name})
        return
    click.echo(str(path))
    at = "" if path.parent == Path("agents") else f"BATON_AGENTS={shlex.quote(str(path.parent))} "
    click.echo(
        f"Next: write into the file what the agent does, then\n"
        f"  baton check {shlex.quote(str(path))}\n"
        f"  {at}baton serve\n"
        f"  baton chat --agent {name}",
        err=True,
    )


def _asked(question: str, default: str, choices: list[str] | None = None) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return default
    kind = click.Choice(choices) if choices else None
    return str(click.prompt(question, default=default, type=kind, err=True))


def _quoted(text: str) -> str:
    """As YAML reads it: plain where that is safe, else as JSON writes it."""
    plain = re.fullmatch(r"[A-Za-z][\w ,./-]*\w", text) and text.lower() not in _NO_TEXTS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; it is left as it is") from None
    except OSError as error:
        raise click.ClickException(f"{path} can't be made: {error.strerror}") from None
