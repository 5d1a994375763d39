"""The types and keys that Baton sends beside the contract, each with the clients that read past it.

Both clients look up an event's `type` in a list and skip one that is not there (`pkg/runtime/client.go` at 0d76412a and
689e4eb1), and Go's `encoding/json` skips keys that a struct does not have, whatever is in them. A key is not skipped if
it is one of the struct's in another case. `tests/test_sent_events.py` shows all this of each name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TYPES: Final[Mapping[str, frozenset[str]]] = {
    "gap": frozenset({"session_id", "first_available", "snapshot"}),
    "session_exited": frozenset({"session_id"}),
    "already_told": frozenset({"session_id"}),
}
"""Types of our own, and all that is in them. The newest client knows the first two on `…/events`: it reads the session
anew after a `gap`, and stops after `session_exited`. After `already_told`, as after any type that it skips, it begins
behind its number when it connects again."""

FIELDS: Final[Mapping[str, str]] = {
    "error.code": "March's client: the word that an HTTP refusal would have carried",
    "error.run_code": "both: that word, where a later client's `code` says it in docker-agent's",
    "token_usage.timing": "both: an older process passes on what a newer one has stored, during an upgrade",
    "partial_tool_call.piece_length": "both: an older process passes on what a newer one has stored, during an upgrade",
    "tool_call_response.state": "both: how the call ended, which its result tells in words for the model",
    "user_message.message_id": "both: the queued message that this confirms",
}
"""`type.key`: the clients that skip it, and what it is for."""
