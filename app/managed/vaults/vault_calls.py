"""Vaults of the Managed Agents API."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Response
from pydantic import Field

from app.errors import InvalidRequest
from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch, patched, read
from app.managed.calls import Calls, delete, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.times import times_json
from app.managed_ids import new_id
from app.store.definitions import Defined
from app.store.vault_store import VaultStore
from app.web.access import own_name, owner
from app.web.response_json import json_response

Json = dict[str, Any]

DisplayName = Annotated[str, Field(min_length=1, max_length=255), SOUND]


class CreateVault(Body):
    display_name: DisplayName
    metadata: Metadata = Field(default_factory=dict)


class UpdateVault(Body):
    display_name: DisplayName | None = None
    metadata: MetadataPatch | None = None


class VaultCalls(Calls):
    """A vault is its owner's alone: whoever may use it may use the accounts that its credentials belong to."""

    prefix = "/v1/vaults"

    def __init__(self, vaults: VaultStore) -> None:
        self._vaults = vaults

    @post("")
    def create(self) -> Response:
        made = read(CreateVault).model_dump()
        return json_response(vault_json(self._vaults.add(new_id("vlt"), made, owner=own_name())))

    @get("")
    def page(self) -> Response:
        asked = window()
        rows = self._vaults.page(asked, owner=owner())
        return json_response(page_json(rows, asked, vault_json, lambda one: (one.created_at, one.id)))

    @get("/<vault_id>")
    def retrieve(self, vault_id: str) -> Response:
        return json_response(vault_json(self._vaults.get(checked("vlt", vault_id), owner=owner())))

    @post("/<vault_id>")
    def update(self, vault_id: str) -> Response:
        body = read(UpdateVault)

        def change(before: Defined) -> Json:
            if before.archived_at is not None:
                raise InvalidRequest("Vault is archived.")
            after = dict(before.definition)
            if body.display_name is not None:
                after["display_name"] = body.display_name
            after["metadata"] = patched(after["metadata"], body.metadata or {})
            return after

        found = self._vaults.change(checked("vlt", vault_id), change, owner=owner())
        return json_response(vault_json(found))

    @post("/<vault_id>/archive")
    def archive(self, vault_id: str) -> Response:
        return json_response(vault_json(self._vaults.archive(checked("vlt", vault_id), owner=owner())))

    @delete("/<vault_id>")
    def delete(self, vault_id: str) -> Response:
        self._vaults.delete(checked("vlt", vault_id), owner=owner())
        return json_response({"id": vault_id, "type": "vault_deleted"})


def vault_json(vault: Defined) -> Json:
    return {"id": vault.id, "type": "vault", **vault.definition, **times_json(vault)}
