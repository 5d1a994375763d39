"""What a run asks a person, asked on the terminal, and the answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import click

from app.commands.event_printer import EventPrinter
from baton_client import (
    ConflictError,
    FormEvent,
    MoreIterationsEvent,
    StreamEvent,
    ToolApprovalEvent,
)

QUESTIONS: Final = ToolApprovalEvent | MoreIterationsEvent | FormEvent
"""The events that wait for an answer."""

Approve = Literal["ask", "all", "none"]
Remember = Literal["", "tool", "session"]
CHOICES: Final[dict[str, Remember]] = {"y": "", "t": "tool", "s": "session"}


class Asking(Protocol):
    """A run that can be answered, as `RunStream` is one."""

    def approve(self, call_id: str | None = None, *, remember: Remember = "") -> None: ...
    def reject(self, call_id: str | None = None, *, reason: str = "") -> None: ...
    def elicit(
        self,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
    ) -> None: ...
    def cancel(self) -> object: ...


def answer(run: Asking, event: StreamEvent, approve: Approve, printer: EventPrinter) -> bool:
    """Answers a question by what `approve` says, or asks on the terminal. False if there is none to ask on."""
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
                _decide(run, call_id, _ask("Allow it?", question, ["y", "t", "s", "n", "c"]))
            case MoreIterationsEvent() if sys.stdin.isatty():
                _decide(run, None, _ask("Go on?", "y: yes, n: no", ["y", "n"]))
            case _:
                return False
    except ConflictError as error:  # somebody else was quicker
        printer.note(f"! {error}: {error.body.get('decided_by') or error.code}", fg="yellow")
    return True


def _ask(question: str, explained: str, choices: list[str]) -> str:
    click.echo(f"  {explained}", err=True)
    return str(click.prompt(f"  {question}", type=click.Choice(choices), show_choices=True, err=True))


def _decide(run: Asking, call_id: str | None, choice: str) -> None:
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


def _fill_in(run: Asking) -> None:
    """One answer as text, or JSON for a form with fields."""
    text = click.prompt(
        "  Answer (JSON for a form with fields, empty to decline)", default="", show_default=False, err=True
    )
    if not text:
        run.elicit(action="decline")
        return
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = text
    run.elicit(parsed if isinstance(parsed, dict) else {"answer": text})
