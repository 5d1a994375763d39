"""Messages that wait for a run: steers, which enter at its next safe point, and follow-ups, which get a turn of
their own when it would end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from app.conversation.blocks import Block

QueueKind = Literal["steer", "followup"]

QUEUE_KINDS: Final[tuple[QueueKind, ...]] = get_args(QueueKind)

CAPACITY: Final = 50
"""Most messages of each kind in a session's queue."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    id: str
    session_id: str
    kind: QueueKind
    content: tuple[Block, ...]
    created_at: float
    created_by: str
