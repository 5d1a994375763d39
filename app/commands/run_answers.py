"""`baton runs approve`, `reject` and `answer`: answers to what a run asks, from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click

from app.commands.completion import complete_live_run
from app.commands.server_options import ServerOptions, json_option, pass_asking, run_id
from app.commands.terminal_output import print_json, written_out
from baton_client import BatonClient, Json, Run

call_option = click.option("--call", help="The id of the call; default: the one that the run asks about.")


@click.command("approve")
@click.argument("run", shell_complete=complete_live_run)
@call_option
@click.option("--tool", is_flag=True, help="Allow all later calls of this tool in the session, too.")
@click.option("--all", "everything", is_flag=True, help="Allow all later calls in the session, too.")
@json_option
@pass_asking
def approve(asking: ServerOptions, run: str, call: str | None, tool: bool, everything: bool) -> None:
    """Allow the tool call that RUN asks about, or let it go on.

    If the run asks whether it may make more model calls, this lets it.
    """
    if tool and everything:
        raise click.UsageError("say --tool or --all, not both")
    remember: Literal["", "tool", "session"] = "tool" if tool else "session" if everything else ""
    with asking.baton() as baton:
        found, question = _asked(baton, run, call, ("approval", "max_iterations"))
        if remember and question.get("kind") == "max_iterations":
            raise click.UsageError("the run asks for more model calls: --tool and --all are about tool calls")
        baton.approve(found["session_id"], question.get("call_id"), remember=remember)
    _tell(asking, "approved", found, question)


@click.command("reject")
@click.argument("run", shell_complete=complete_live_run)
@call_option
@click.option("--reason", default="", help="Why not. The agent reads it.")
@json_option
@pass_asking
def reject(asking: ServerOptions, run: str, call: str | None, reason: str) -> None:
    """Reject the tool call that RUN asks about, or end the run.

    If the run asks whether it may make more model calls, this ends it.
    """
    with asking.baton() as baton:
        found, question = _asked(baton, run, call, ("approval", "max_iterations"))
        baton.reject(found["session_id"], question.get("call_id"), reason=reason)
    _tell(asking, "rejected", found, question)


@click.command("answer")
@click.argument("run", shell_complete=complete_live_run)
@click.argument("fields", nargs=-1)
@click.option("--decline", is_flag=True, help="Decline to answer.")
@call_option
@json_option
@pass_asking
def answer(asking: ServerOptions, run: str, fields: tuple[str, ...], decline: bool, call: str | None) -> None:
    """Fill in the form that RUN asks to be filled in.

    FIELDS are a JSON object, or one NAME=VALUE for each field. A value is JSON if the form wants no text there; a
    single text without a name answers a form without fields.
    """
    if decline == bool(fields):
        raise click.UsageError("give the answer, or --decline")
    with asking.baton() as baton:
        found, question = _asked(baton, run, call, ("elicitation",))
        content = None if decline else answer_of(fields, question.get("schema"))
        action: Literal["accept", "decline"] = "decline" if decline else "accept"
        baton.elicit(found["session_id"], content, action=action, call_id=question.get("call_id"))
    _tell(asking, "declined" if decline else "answered", found, question)


def answer_of(fields: Sequence[str], schema: Any) -> dict[str, Any]:
    """A form's answer as it is sent. UsageError if a field is neither `NAME=VALUE` nor the only one."""
    if len(fields) == 1:
        parsed = _json(fields[0])
        if isinstance(parsed, dict):
            return parsed
        if "=" not in fields[0]:
            return {"answer": fields[0]}
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    content: dict[str, Any] = {}
    for field in fields:
        name, separator, text = field.partition("=")
        if not separator or not name:
            raise click.UsageError(f"{field!r} is no NAME=VALUE")
        content[name] = _value(text, (properties or {}).get(name))
    return content


def _value(text: str, schema: Any) -> Any:
    """Text where the form wants text, or does not say what it wants."""
    kind = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    if kind == "string":
        return text
    parsed = _json(text)
    return text if parsed is None and kind != "null" else parsed


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _asked(baton: BatonClient, run: str, call: str | None, kinds: Sequence[str]) -> tuple[Run, Json]:
    """The run, and its question. ClickException if it asks nothing of these kinds, or not about that call."""
    found = baton.get_run(run_id(baton, run))
    question: Json = {}
    question |= found.get("waiting_for") or {}
    kind = question.get("kind")
    if kind not in kinds:
        words = {"approval": "about a tool call", "elicitation": "to fill in a form"}
        asks = f"asks {words.get(str(kind), 'for more model calls')}" if kind else f"is {found['status']}"
        asks = "is paused" if kind == "pause" else asks
        raise click.ClickException(f"run {found['id']} {asks}")
    if call and call != question.get("call_id"):
        raise click.ClickException(f"run {found['id']} asks about call {question.get('call_id')}")
    return found, question


def _tell(asking: ServerOptions, done: str, run: Run, question: Json) -> None:
    if asking.as_json:
        print_json({"run_id": run["id"], "decision": done, "question": question})
        return
    arguments = question.get("arguments")
    shown = f" {json.dumps(arguments, ensure_ascii=False)}" if arguments is not None else ""
    about = f"{question['tool']}{shown}" if question.get("tool") else "the run's question"
    click.echo(f"{done} {written_out(about)}", err=True)
