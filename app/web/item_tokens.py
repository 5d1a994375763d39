"""Tokens of work items. Polling for work gives one to a worker; it opens the routes of that item and of its session,
and nothing else, as long as the worker has the lease. They count also where no other tokens are asked for: they are the
fence before what a worker writes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import g, request

from app.access_tokens import AccessToken, digest
from app.errors import Forbidden, NotFound, StoreUnavailable, Unauthorized
from app.store.work_store import WorkStore
from app.web.worker_routes import OF_ENVIRONMENT, OF_ITEM, OPEN_TO

_PREFIX: Final = "work-token."


@dataclass(frozen=True, slots=True)
class ItemToken(AccessToken):
    """`name` is that of the session's owner. `holds`: the lease has not run out. The session's id is the one at Baton's
    own door."""

    item: str = ""
    session: str = ""
    holds: bool = False


def new_item_token(item_id: str) -> str:
    return f"{_PREFIX}{item_id}.{secrets.token_urlsafe(32)}"


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def item_token(work: WorkStore, shown: str) -> ItemToken | None:
    """None for a token of another kind. Unauthorized for one that no item has."""
    if not shown.startswith(_PREFIX):
        return None
    named = re.fullmatch(r"(work_\w{24})\.[\w-]{43}", shown.removeprefix(_PREFIX), re.ASCII)
    found = None if named is None else work.holder(named[1], digest_of(shown))
    if found is None:
        raise Unauthorized()
    return ItemToken(
        found.owner,
        "worker",
        digest(shown),
        found.environment_id,
        item=found.item_id,
        session=found.session_id,
        holds=found.holds,
    )


def admit_worker(token: AccessToken, view: object, session_of: str | None) -> None:
    """Forbidden, NotFound or Unauthorized unless the route is one that this worker's token opens. `session_of` is the
    id of the session that the path names."""
    kind = OF_ITEM if isinstance(token, ItemToken) else OF_ENVIRONMENT
    if kind not in getattr(view, OPEN_TO, ()):
        raise Forbidden("This token may only do the work of its environment.")
    asked = request.view_args or {}
    if asked.get("environment_id", token.environment) != token.environment:
        raise NotFound("Environment not found.", error_code="environment_not_found")
    if not isinstance(token, ItemToken):
        return
    if asked.get("work_id", token.item) != token.item:
        raise NotFound("Work not found.")
    if "work_id" in asked:
        return  # it is told what has become of its lease
    if session_of not in (None, token.session):
        raise NotFound("Session not found.")
    if not token.holds:
        raise Unauthorized()


def shown_item() -> ItemToken | None:
    """The item's token that this request shows, if it does."""
    token = g.get("token")
    return token if isinstance(token, ItemToken) else None


def lease(work: WorkStore) -> Lease | None:
    """The lease under which this request is made, if it shows an item's token."""
    token = shown_item()
    return None if token is None else Lease(work, token.item, token.digest.hex())


@dataclass(frozen=True, slots=True)
class Lease:
    """Any thread may ask."""

    _work: WorkStore
    item: str
    digest: str

    def shows(self, call: int) -> bool:
        """Writes down that the worker is shown the call of that event, by its number, 0 for none. False if the lease is
        lost, and also while the database is away: a stream can be opened again."""
        try:
            return self._work.note_shown(self.item, self.digest, call)
        except StoreUnavailable:
            return False

    def require(self, call: int) -> None:
        """The same; Unauthorized."""
        if not self._work.note_shown(self.item, self.digest, call):
            raise Unauthorized()

    @property
    def fence(self) -> Callable[[Any], None]:
        """As `WorkStore.fence`."""
        return self._work.fence(self.item, self.digest)
