"""What people write into a conversation themselves, while no run is at work."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update

from app.conversation.audit import AuditEntry
from app.conversation.blocks import Block
from app.conversation.editing import added, edited
from app.conversation.run import Owner
from app.conversation.transcript import Message
from app.errors import InvalidTranscript, MessageNotFound
from app.store.audit_store import note
from app.store.closing import LastWords
from app.store.rows import dump
from app.store.run_store import IsGone, RunStore
from app.store.session_store import append_messages, read_messages
from app.store.tables import messages

__all__ = ["EditStore", "Owner"]


class EditStore:
    """Each method is one transaction in which the session is nobody else's, in whatever process: SessionBusy while
    a run is at work. Also SessionNotFound, InvalidTranscript."""

    def __init__(self, runs: RunStore, *, is_gone: IsGone, last_words: LastWords) -> None:
        self._runs = runs
