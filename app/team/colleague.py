"""An agent to whose threads another one sends messages. No agent file has one: such rosters are made through an API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colleague:
    """`key` is its name in the team; the model knows it by its `name`, which others may have too, and by its `id`."""

    key: str
    name: str
    id: str
    description: str
