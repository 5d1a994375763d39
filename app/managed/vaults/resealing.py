"""The rotation of the key that secrets are encrypted with."""

from __future__ import annotations

from typing import Final

from app.managed.vaults.secret_box import SecretBox, SecretsUnreadable
from app.store.sealed_store import SealedStore

_BATCH: Final = 100


def reseal_all(store: SealedStore, box: SecretBox) -> tuple[int, list[str]]:
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
