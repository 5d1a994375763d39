"""A conversation's messages as lines for people."""

from __future__ import annotations

from collections.abc import Iterable

import click

from app.commands.terminal_output import clean
from baton_client import StoredMessage


def message_lines(messages: Iterable[StoredMessage]) -> Iterable[str]:
    for item in messages:
        message = item["message"]
        role = message["role"] if message["role"] == "tool" else item.get("agentName") or message["role"]
        mark = f" ({item['partial']})" if item.get("partial") else ""
        yield ""
        yield click.style(f"{role}{mark}", bold=True)
        if message.get("content"):
            yield clean(message["content"])
        for call in message.get("tool_calls", ()):
            function = call["function"]
            yield clean(f"→ {function['name']} {function.get('arguments', '')}")
