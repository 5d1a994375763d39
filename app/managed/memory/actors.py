"""Authors of changes to memories, as the Managed Agents API tells them."""

from __future__ import annotations

from typing import Any, Final

from app.managed.teams import key_of
from app.store.memory_rows import Actor
from app.web.access import own_name
from app.web.item_tokens import shown_item

Json = dict[str, Any]

_PREFIX: Final = "apikey_"
_ANYBODY: Final = "anybody"
"""Stands for the key where no tokens are asked for."""


def own_actor() -> Actor:
    """The caller of this request. The tokens of one name are one key. A worker acts for its session."""
    if (item := shown_item()) is not None:
        return Actor(session=item.session)
    return Actor(key=own_name() or _ANYBODY)


def key_in(api_key_id: str) -> str | None:
    """The key with that id; None for the id of none."""
    return api_key_id.removeprefix(_PREFIX) if api_key_id.startswith(_PREFIX) else None


def actor_json(actor: Actor) -> Json | None:
    if actor.session:
        return {"type": "session_actor", "session_id": key_of(actor.session)}
    return {"type": "api_actor", "api_key_id": f"{_PREFIX}{actor.key}"} if actor.key else None
