"""The rotation of the key that the secrets in vaults are encrypted with."""

from __future__ import annotations

from typing import Final

from app.managed.vaults.secret_box import SecretBox, SecretsUnreadable
from app.store.credential_store import CredentialStore

_BATCH: Final = 100


def reseal_all(credentials: CredentialStore, box: SecretBox) -> tuple[int, list[str]]:
    """How many were encrypted anew, and the ids of those that no key opens. Servers may go on meanwhile: what one of
    them stores at that moment is looked at again."""
    count, unreadable, last = 0, [], ""
    while batch := credentials.sealed(behind=last, limit=_BATCH):
        for credential_id, sealed in batch:
            try:
                resealed = credentials.reseal(credential_id, sealed, box.resealed(credential_id, sealed))
            except SecretsUnreadable:
                unreadable.append(credential_id)
                resealed = True
            else:
                count += resealed
            if not resealed:
                break
            last = credential_id
    return count, unreadable
