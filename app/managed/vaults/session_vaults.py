"""The vaults of a session."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import InvalidRequest
from app.managed.id_validation import checked
from app.store.vault_store import VaultStore
from app.web.access import owner


def usable_vaults(vaults: VaultStore, given: Sequence[str]) -> list[str]:
    """The vaults that a new session names, in their order. NotFound, InvalidRequest for an archived one."""
    for vault_id in given:
        if vaults.get(checked("vlt", vault_id), owner=owner()).archived_at is not None:
            raise InvalidRequest(f"vault_ids: vault {vault_id} is archived")
    return list(given)
