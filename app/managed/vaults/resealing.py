"""The rotation of the key that secrets are encrypted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from app.managed.vaults.secret_box import SecretBox, SecretsUnreadable

_BATCH: Final = 100


class Sealed(Protocol):
    """A store of sealed secrets."""

    def sealed(self, *, behind: str, limit: int) -> Sequence[tuple[str, str]]:
        """Ids and sealed secrets, in the order of the ids."""
        ...

    def reseal(self, object_id: str, before: str, after: str) -> bool:
        """Replaces sealed secrets by the same ones under another key. False if they have changed meanwhile."""
        ...


def reseal_all(store: Sealed, box: SecretBox) -> tuple[int, list[str]]:
    """How many were encrypted anew, and the ids of those that no key opens. Servers may go on meanwhile: what one of
    them stores at that moment is looked at again."""
    count, unreadable, last = 0, [], ""
    while batch := store.sealed(behind=last, limit=_BATCH):
        for object_id, sealed in batch:
            try:
                resealed = store.reseal(object_id, sealed, box.resealed(object_id, sealed))
            except SecretsUnreadable:
                unreadable.append(object_id)
                resealed = True
            else:
                count += resealed
            if not resealed:
                break
            last = object_id
    return count, unreadable
