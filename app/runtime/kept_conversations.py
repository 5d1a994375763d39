"""Conversations that runs of this process have read, kept in memory for the next run of the same session."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from app.agent.kept_history import KeptHistory
from app.store.decoded_rows import DecodedRows


@dataclass(slots=True)
class KeptConversation:
    """Owned by one run at a time. Nothing in it is believed before the stored rows were compared with it."""

    rows: DecodedRows = field(default_factory=DecodedRows)
    history: KeptHistory = field(default_factory=KeptHistory)


class KeptConversations:
    """One per process, for all threads. Takes about `most_bytes` of memory at most; the session that had no run for the
    longest time goes first."""

    def __init__(self, most_bytes: int) -> None:
        """0: nothing is kept."""
        self._most_bytes = most_bytes
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, KeptConversation] = OrderedDict()
        self.bytes = 0

    def take(self, session_id: str) -> KeptConversation:
        """The session's, which is not kept any more until it is given back; an empty one if there is none."""
        with self._guard:
            return self._pop(session_id) or KeptConversation()

    def keep(self, session_id: str, conversation: KeptConversation) -> None:
        """For the session's next run. The caller does not use it any more."""
        if conversation.rows.weight > self._most_bytes:
            return
        with self._guard:
            self._pop(session_id)
            self._kept[session_id] = conversation
            self.bytes += conversation.rows.weight
            while self.bytes > self._most_bytes:
                self._pop(next(iter(self._kept)))

    def forget(self, session_id: str) -> None:
        """The session was deleted."""
        with self._guard:
            self._pop(session_id)

    def _pop(self, session_id: str) -> KeptConversation | None:
        found = self._kept.pop(session_id, None)
        if found is not None:
            self.bytes -= found.rows.weight
        return found
