"""A run's events as a person reads them: the agent's words on stdout, everything else on stderr."""

from __future__ import annotations

import json
from typing import Literal

import click

from app.commands.terminal_output import clean, counted, written_out
from baton_client import (
    ErrorEvent,
    FormEvent,
    GapEvent,
    MoreIterationsEvent,
    StreamEvent,
    TextEvent,
    ThinkingEvent,
    ToolApprovalEvent,
    ToolCallEvent,
    ToolOutputEvent,
    ToolResultEvent,
    WarningEvent,
)

SHOWN_LINES = 12


class EventPrinter:
    """`failed` says after the end whether the run failed. With `as_json` each event is a line of JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._in_line: Literal["", "out", "err"] = ""
        self.failed = False
        self._live: dict[str, str] = {}  # what calls have written, until they have their results

    def tell(self, event: StreamEvent) -> None:
        self.failed = self.failed or isinstance(event, ErrorEvent)
        if self._as_json:
            click.echo(json.dumps({"id": event.id, **event.data}, ensure_ascii=False))
        elif isinstance(event, TextEvent):
            self._say(event.text, "out")
        else:
            self._aside(event)

    def finish(self) -> None:
        """Ends the line that the agent was in."""
        if self._in_line:
            click.echo(err=self._in_line == "err")
        self._in_line = ""

    def _say(self, text: str, where: Literal["out", "err"]) -> None:
        """A piece of a text: words on stdout, thoughts on stderr."""
        if self._in_line != where:
            self.finish()
        if where == "err":
            click.secho(clean(text), err=True, nl=False, dim=True)
        else:
            click.echo(clean(text), nl=False)
        self._in_line = "" if text.endswith("\n") else where

    def _say_indented(self, text: str) -> None:
        """A piece of a command's output, which may begin and end within a line."""
        if text:
            start = "" if self._in_line == "err" else "  "
            end = "\n" if text.endswith("\n") else ""
            self._say(start + text.removesuffix("\n").replace("\n", "\n  ") + end, "err")

    def note(self, text: str, **style: str | bool) -> None:
        """Beside what the agent says, in lines of its own. Nothing, when events are told as JSON."""
        if self._as_json:
            return
        self.finish()
        click.secho(clean(text), err=True, **style)  # type: ignore[arg-type]  # a style is what Click takes

    def _ask(self, text: str) -> None:
        """A person decides by it, so nothing in it is invisible."""
        self.note(f"? {written_out(text)}", fg="yellow", bold=True)

    def _aside(self, event: StreamEvent) -> None:
        match event:
            case ThinkingEvent(text=text):
                self._say(text, "err")
            case ToolCallEvent():
                self.note(f"→ {event.tool} {event.arguments}", fg="cyan")
            case ToolOutputEvent(call_id=call_id, text=text):
                self._live[call_id] = self._live.get(call_id, "") + text
                self._say_indented(text)
            case ToolResultEvent() if (
                self._live.pop(event.call_id, "").strip() == event.response.strip() != ""
            ):
                self.finish()  # it was shown while it was written
            case ToolResultEvent():
                self.note(_indented(event.response), fg="red" if event.failed else None, dim=True)  # type: ignore[arg-type]
            case ToolApprovalEvent():
                self._ask(f"{event.tool} {event.arguments}")
            case MoreIterationsEvent(most=most):
                self._ask(
                    f"the agent has made {counted(most, 'model call')}, as many as it may; shall it go on?"
                )
            case FormEvent(text=text, schema=schema):
                self._ask(f"{text} {json.dumps(schema, ensure_ascii=False) if schema else ''}")
            case WarningEvent(text=text):
                self.note(f"! {text}", fg="yellow")
            case ErrorEvent(text=text, code=code):
                self.note(f"! {text} ({code})" if code else f"! {text}", fg="red")
            case GapEvent():
                self.note("! events are missing here; see `baton sessions show`", fg="red")


def _indented(text: str) -> str:
    lines = text.rstrip().split("\n")
    hidden = len(lines) - SHOWN_LINES
    more = [f"… {hidden} more {'line' if hidden == 1 else 'lines'}"] if hidden > 0 else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN_LINES], *more])
