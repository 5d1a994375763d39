"""Credentials in vaults of the Managed Agents API. Their secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from flask import Response

from app.errors import InvalidRequest
from app.managed.bodies import patched, read
from app.managed.calls import Calls, delete, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.times import moment, times_json
from app.managed.vaults.credential_bodies import (
    CreateCredential,
    EnvironmentVariable,
    McpOauth,
    McpOauthUpdate,
    RefreshUpdate,
    StaticBearer,
    StaticBearerUpdate,
    UpdateCredential,
)
from app.managed.vaults.secret_box import SecretBox, Secrets, SecretsUnreadable
from app.managed.vaults.server_keys import server_key
from app.managed.vaults.validation import CredentialCheck
from app.managed_ids import new_id
from app.store.credential_store import Changed, Credential, CredentialStore
from app.web.access import owner
from app.web.response_json import json_response

Json = dict[str, Any]

_NO_VARIABLES: Final = (
    "auth.type: environment_variable credentials are not supported here: nothing on this server puts a secret into "
    "requests on their way out, and none is placed where a session's commands could read it"
)


class CredentialCalls(Calls):
    prefix = "/v1/vaults/<vault_id>/credentials"

    def __init__(self, credentials: CredentialStore, box: SecretBox, check: CredentialCheck) -> None:
        self._check = check
        self._credentials = credentials
        self._box = box

    @post("")
    def create(self, vault_id: str) -> Response:
        checked("vlt", vault_id)
        body = read(CreateCredential)
        if isinstance(body.auth, EnvironmentVariable):
            raise InvalidRequest(_NO_VARIABLES)
        auth, secrets = _stored(body.auth, self._credentials.now())
        made = self._credentials.add(
            vault_id,
            new_id("vcrd"),
            {"display_name": body.display_name, "metadata": body.metadata, "auth": auth},
            server_key=server_key(body.auth.mcp_server_url),
            sealed=self._box.seal(secrets),
            owner=owner(),
        )
        return json_response(credential_json(made))

    @get("")
    def page(self, vault_id: str) -> Response:
        checked("vlt", vault_id)
        asked = window()
        rows = self._credentials.page(vault_id, asked, owner=owner())
        return json_response(page_json(rows, asked, credential_json, lambda one: (one.created_at, one.id)))

    @get("/<credential_id>")
    def retrieve(self, vault_id: str, credential_id: str) -> Response:
        return json_response(credential_json(self.found(vault_id, credential_id)))

    @post("/<credential_id>")
    def update(self, vault_id: str, credential_id: str) -> Response:
        _check_ids(vault_id, credential_id)
        body = read(UpdateCredential)

        now = self._credentials.now()

        def change(before: Credential) -> Changed:
            if before.sealed is None:
                raise InvalidRequest("Credential is archived.")
            after, sealed = dict(before.definition), before.sealed
            if body.given("display_name"):
                after["display_name"] = body.display_name
            after["metadata"] = patched(after["metadata"], body.metadata or {})
            if body.auth is not None:
                if body.auth.type != after["auth"]["type"]:
                    raise InvalidRequest("auth.type: the kind of a credential can't be changed")
                after["auth"], given = _changed(after["auth"], body.auth, now)
                if given:
                    sealed = self._box.seal({**self._opened(before, given), **given})
            return after, sealed

        found = self._credentials.change(vault_id, credential_id, change, owner=owner())
        return json_response(credential_json(found))

    @post("/<credential_id>/archive")
    def archive(self, vault_id: str, credential_id: str) -> Response:
        _check_ids(vault_id, credential_id)
        return json_response(
            credential_json(self._credentials.archive(vault_id, credential_id, owner=owner()))
        )

    @post("/<credential_id>/mcp_oauth_validate")
    def validate(self, vault_id: str, credential_id: str) -> Response:
        return json_response(self._check.validate(self.found(vault_id, credential_id)))

    @delete("/<credential_id>")
    def delete(self, vault_id: str, credential_id: str) -> Response:
        _check_ids(vault_id, credential_id)
        self._credentials.delete(vault_id, credential_id, owner=owner())
        return json_response({"id": credential_id, "type": "vault_credential_deleted"})

    def found(self, vault_id: str, credential_id: str) -> Credential:
        """NotFound, InvalidRequest for ids that can't be."""
        _check_ids(vault_id, credential_id)
        return self._credentials.get(vault_id, credential_id, owner=owner())

    def _opened(self, before: Credential, given: Secrets) -> Secrets:
        """The secrets that a change leaves as they are. Without the key that they were sealed with a credential can be
        given all of them anew. InvalidRequest."""
        try:
            return self._box.open(before.id, before.sealed or "")
        except SecretsUnreadable as error:
            if given.keys() >= needed(before.definition["auth"]):
                return {}
            raise InvalidRequest(f"auth: {error}") from None


def credential_json(credential: Credential) -> Json:
    return {
        "id": credential.id,
        "type": "vault_credential",
        "vault_id": credential.vault_id,
        **credential.definition,
        **times_json(credential),
    }


def needed(auth: Json) -> set[str]:
    """The names of the secrets that a credential of this kind has."""
    if auth["type"] == "static_bearer":
        return {"token"}
    refresh = auth["refresh"]
    if refresh is None:
        return {"token"}
    has_secret = refresh["token_endpoint_auth"]["type"] != "none"
    return {"token", "refresh_token", *(["client_secret"] if has_secret else [])}


def _check_ids(vault_id: str, credential_id: str) -> None:
    checked("vlt", vault_id)
    checked("vcrd", credential_id)


def _stored(given: StaticBearer | McpOauth, now: float) -> tuple[Json, Secrets]:
    """The part of a new credential that may be shown, and its secrets."""
    if isinstance(given, StaticBearer):
        return {"type": given.type, "mcp_server_url": given.mcp_server_url}, {"token": given.token}
    auth: Json = {"type": given.type, "mcp_server_url": given.mcp_server_url}
    auth["expires_at"] = _future(given.expires_at, now)
    auth["refresh"], secrets = None, {"token": given.access_token}
    if (refresh := given.refresh) is not None:
        auth["refresh"] = {
            "token_endpoint": refresh.token_endpoint,
            "client_id": refresh.client_id,
            "token_endpoint_auth": {"type": refresh.token_endpoint_auth.type},
            "scope": refresh.scope,
            "resource": refresh.resource,
        }
        secrets["refresh_token"] = refresh.refresh_token
        if secret := getattr(refresh.token_endpoint_auth, "client_secret", ""):
            secrets["client_secret"] = secret
    return auth, secrets


def _changed(
    auth: Json, given: StaticBearerUpdate | McpOauthUpdate | EnvironmentVariable, now: float
) -> tuple[Json, Secrets]:
    """The part that may be shown after a change, and the secrets that were given. InvalidRequest."""
    after, secrets = dict(auth), Secrets()
    if isinstance(given, StaticBearerUpdate) and given.token is not None:
        secrets["token"] = given.token
    if isinstance(given, McpOauthUpdate):
        if given.access_token is not None:
            secrets["token"] = given.access_token
        if given.given("expires_at"):
            after["expires_at"] = _future(given.expires_at, now)
        if given.refresh is not None:
            after["refresh"] = _refresh_changed(auth["refresh"], given.refresh, secrets)
    return after, secrets


def _refresh_changed(refresh: Json | None, given: RefreshUpdate, secrets: Secrets) -> Json:
    if refresh is None:
        raise InvalidRequest("auth.refresh: the credential was made without one")
    after = dict(refresh)
    if given.refresh_token is not None:
        secrets["refresh_token"] = given.refresh_token
    if given.scope is not None:
        after["scope"] = given.scope or None
    if given.token_endpoint_auth is not None:
        if refresh["token_endpoint_auth"]["type"] == "none":
            raise InvalidRequest("auth.refresh.token_endpoint_auth: the credential has no client secret")
        if given.token_endpoint_auth.client_secret is not None:
            secrets["client_secret"] = given.token_endpoint_auth.client_secret
    return after


def _future(text: str | None, now: float) -> str | None:
    """The time as this API writes it. InvalidRequest for one that is over."""
    if text is None:
        return None
    seconds = datetime.fromisoformat(text).timestamp()
    if seconds <= now:
        raise InvalidRequest("auth.expires_at must be in the future.")
    return moment(seconds)
