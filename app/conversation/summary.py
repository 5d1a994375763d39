"""A summary, as it is stored: what it stands for, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from app.conversation.usage import Usage


@dataclass(frozen=True, slots=True)
class Summary:
    """Stands for the rows before the position `through`, except the user's own from `newest_from` up to, but not
    with, `newest_to`: their newest message. Without a text it stands for none, and only begins a new prompt."""

    number: int  # of its session, from 1
    text: str
    through: int
    newest_from: int
    newest_to: int
    made_at: int  # the position of the first row that was not there yet
    created_at: float = 0.0  # by the database's clock, once stored
    agent: str = ""
    model: str = ""
    usage: Usage | None = None
    cost: float = 0.0  # USD
