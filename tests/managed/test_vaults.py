"""Vaults and their credentials, through the official SDK."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anthropic
import pytest

from app.factory import Server
from tests.managed.conftest import Sdk

URL = "https://mcp.example.com/mcp"
TOKEN = "token-that-nobody-may-see"


def bearer(url: str = URL, token: str = TOKEN) -> Any:
    return {"type": "static_bearer", "token": token, "mcp_server_url": url}


def oauth(**more: Any) -> Any:
    refresh = {
        "token_endpoint": "https://auth.example.com/token",
        "client_id": "baton",
        "refresh_token": "refresh-that-nobody-may-see",
        "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "client-secret"},
        "scope": "read",
    }
    made = {"type": "mcp_oauth", "access_token": TOKEN, "mcp_server_url": URL, "refresh": refresh}
    return {**made, **more}


def test_a_vault_is_made_changed_archived_and_deleted(sdk: Sdk) -> None:
    made = sdk.checked(sdk.beta.vaults.create(display_name="Ann's", metadata={"user": "ann"}))
    assert sdk.checked(sdk.beta.vaults.retrieve(made.id)) == made
    changed = sdk.checked(
        sdk.beta.vaults.update(made.id, display_name="Anna's", metadata={"user": None, "a": "1"})
    )
    assert (changed.display_name, changed.metadata) == ("Anna's", {"a": "1"})
    assert sdk.beta.vaults.update(made.id, display_name=None, metadata=None).display_name == "Anna's"
    credential = sdk.beta.vaults.credentials.create(made.id, auth=bearer())
    assert made.id in [one.id for one in sdk.beta.vaults.list()]
    archived = sdk.checked(sdk.beta.vaults.archive(made.id))
    assert sdk.beta.vaults.archive(made.id) == archived
    assert archived.archived_at is not None
    assert made.id not in [one.id for one in sdk.beta.vaults.list()]
    assert made.id in [one.id for one in sdk.beta.vaults.list(include_archived=True)]
    kept = sdk.beta.vaults.credentials.retrieve(credential.id, vault_id=made.id)
    assert kept.archived_at is not None
    for refused in (
        lambda: sdk.beta.vaults.update(made.id, display_name="x"),
        lambda: sdk.beta.vaults.credentials.create(made.id, auth=bearer()),
    ):
        with pytest.raises(anthropic.BadRequestError, match="Vault is archived"):
            refused()
    gone = sdk.checked(sdk.beta.vaults.delete(made.id))
    assert (gone.id, gone.type) == (made.id, "vault_deleted")
    with pytest.raises(anthropic.NotFoundError, match="Vault not found"):
        sdk.beta.vaults.retrieve(made.id)


VAULTS: list[tuple[Any, str]] = [
    ({}, "display_name: field is required"),
    ({"display_name": ""}, "display_name"),
    ({"display_name": None}, "display_name"),
    ({"display_name": 7}, "display_name"),
    ({"display_name": "x" * 256}, "display_name"),
    ({"display_name": "a\0b"}, "display_name"),
    ({"display_name": "v", "name": "x"}, "name: unknown field"),
    ({"display_name": "v", "metadata": {str(one): "x" for one in range(17)}}, "metadata"),
    ({"display_name": "v", "metadata": {"k" * 65: "x"}}, "metadata"),
    ({"display_name": "v", "metadata": {"k": "x" * 513}}, "metadata"),
    ({"display_name": "v", "metadata": []}, "metadata"),
]


def test_what_is_wrong_with_a_vault_is_named(sdk: Sdk) -> None:
    known = sdk.beta.vaults.create(display_name="v" * 255, metadata={str(one): "" for one in range(16)}).id
    for body, words in VAULTS:
        with pytest.raises(anthropic.BadRequestError):
            sdk.post("/v1/vaults", body=body, cast_to=object, options=BETA)
        assert words in sdk.sent["error"]["message"], body
    for change in ({"metadata": {"a": "x"}}, {"display_name": ""}, {"archived_at": None}):
        with pytest.raises(anthropic.BadRequestError):
            sdk.post(f"/v1/vaults/{known}", body=change, cast_to=object, options=BETA)
    for query in ("limit=0", "limit=101", "limit=x", "include_archived=1", "page=x"):
        for path in ("/v1/vaults", f"/v1/vaults/{known}/credentials"):
            with pytest.raises(anthropic.BadRequestError):
                sdk.get(f"{path}?{query}", cast_to=object, options=BETA)
    sdk.get("/v1/vaults?colour=red", cast_to=object, options=BETA)


def test_a_credential_never_shows_its_secrets(
    sdk: Sdk, laptop: Server, caplog: pytest.LogCaptureFixture
) -> None:
    vault, shown = sdk.beta.vaults.create(display_name="v").id, []
    credentials = sdk.beta.vaults.credentials
    with caplog.at_level(logging.DEBUG):
        made = sdk.checked(credentials.create(vault, auth=oauth(), display_name="mine", metadata={"a": "1"}))
        shown.append(sdk.sent)
        assert sdk.sent["auth"] == {
            "type": "mcp_oauth",
            "mcp_server_url": URL,
            "expires_at": None,
            "refresh": {
                "token_endpoint": "https://auth.example.com/token",
                "client_id": "baton",
                "token_endpoint_auth": {"type": "client_secret_basic"},
                "scope": "read",
                "resource": None,
            },
        }
        sdk.checked(credentials.retrieve(made.id, vault_id=vault))
        shown.append(sdk.sent)
        changed = credentials.update(
            made.id,
            vault_id=vault,
            display_name=None,
            metadata={"a": None},
            auth={
                "type": "mcp_oauth",
                "access_token": "another-secret-token",
                "expires_at": "2999-01-01T00:00:00Z",
                "refresh": {"scope": ""},
            },
        )
        shown.append(sdk.sent)
        sdk.checked(changed)
        assert (changed.display_name, changed.metadata) == (None, {})
        assert sdk.sent["auth"]["expires_at"] == "2999-01-01T00:00:00.000000Z"
        assert sdk.sent["auth"]["refresh"]["scope"] is None
        listed = list(credentials.list(vault))
        shown.append(sdk.sent)
        assert [one.id for one in listed] == [made.id]
        archived = sdk.checked(credentials.archive(made.id, vault_id=vault))
        assert archived.archived_at is not None
        assert credentials.archive(made.id, vault_id=vault) == archived
        with pytest.raises(anthropic.BadRequestError, match=r"Credential is archived\."):
            credentials.update(made.id, vault_id=vault, display_name="x")
        credentials.create(vault, auth=bearer())  # the archived one does not stand in its way
        gone = sdk.checked(credentials.delete(made.id, vault_id=vault))
        assert gone.type == "vault_credential_deleted"
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith(("anthropic", "httpx2"))]
    told = f"{shown}{ours}"
    assert "/credentials" in f"{ours}"
    stored = laptop.settings.database_url.removeprefix("sqlite:///")
    kept = b"".join(one.read_bytes() for one in Path(stored).parent.glob(f"{Path(stored).name}*"))
    for secret in (TOKEN, "refresh-that-nobody-may-see", "client-secret", "another-secret-token"):
        assert secret not in told
        assert secret.encode() not in kept


AUTHS = [
    ({}, "auth: field is required"),
    ({"auth": None}, "auth"),
    ({"auth": {"type": "cookie"}}, 'auth.type: "cookie" is not a valid value'),
    ({"auth": {**bearer(), "token": ""}}, "auth.token"),
    ({"auth": {**bearer(), "token": "x" * 8193}}, "auth.token"),
    ({"auth": {**bearer(), "token": "two words"}}, "auth.token: it must be printable ASCII"),
    ({"auth": {**bearer(), "token": "line\r\nX-Evil: 1"}}, "auth.token"),
    ({"auth": bearer(url="ftp://a.org")}, "auth.mcp_server_url"),
    ({"auth": bearer(url="https://u:p@a.org")}, "auth.mcp_server_url"),
    ({"auth": bearer(url="https://a.org:99999/")}, "auth.mcp_server_url"),
    ({"auth": bearer(url="https://" + "a" * 2050)}, "auth.mcp_server_url"),
    ({"auth": {**bearer(), "expires_at": "2999-01-01T00:00:00Z"}}, "auth.expires_at: unknown field"),
    ({"auth": oauth(expires_at="2001-01-01T00:00:00Z")}, "auth.expires_at must be in the future."),
    ({"auth": oauth(expires_at="tomorrow")}, "auth.expires_at"),
    ({"auth": oauth(expires_at="2999-01-01T00:00:00")}, "auth.expires_at"),
    ({"auth": oauth(expires_at=17)}, "auth.expires_at"),
    ({"auth": oauth(refresh={"client_id": "x"})}, "auth.refresh.token_endpoint: field is required"),
    (
        {"auth": oauth(refresh={**oauth()["refresh"], "token_endpoint_auth": {"type": "jwt"}})},
        'auth.refresh.token_endpoint_auth.type: "jwt" is not a valid value',
    ),
    (
        {
            "auth": oauth(
                refresh={**oauth()["refresh"], "token_endpoint_auth": {"type": "client_secret_post"}}
            )
        },
        "client_secret: field is required",
    ),
    (
        {
            "auth": {
                "type": "environment_variable",
                "secret_name": "KEY",
                "secret_value": "x",
                "networking": {"type": "unrestricted"},
            }
        },
        "auth.type: environment_variable credentials are not supported here",
    ),
    ({"auth": bearer(), "display_name": "x" * 256}, "display_name"),
    ({"auth": bearer(), "metadata": {"k": 1}}, "metadata"),
    ({"auth": bearer(), "secret": "x"}, "secret: unknown field"),
]


def test_what_is_wrong_with_a_new_credential_is_named(sdk: Sdk) -> None:
    vault = sdk.beta.vaults.create(display_name="v").id
    for body, words in AUTHS:
        with pytest.raises(anthropic.BadRequestError):
            sdk.post(f"/v1/vaults/{vault}/credentials", body=body, cast_to=object, options=BETA)
        assert words in sdk.sent["error"]["message"], body
        assert TOKEN not in sdk.sent["error"]["message"]
    assert list(sdk.beta.vaults.credentials.list(vault)) == []


BETA: Any = {"headers": {"anthropic-beta": "managed-agents-2026-04-01"}}


def test_what_is_wrong_with_a_change_is_named(sdk: Sdk) -> None:
    vault = sdk.beta.vaults.create(display_name="v").id
    fixed = sdk.beta.vaults.credentials.create(vault, auth=bearer(url="https://a.org")).id
    free: Any = oauth(refresh={**oauth()["refresh"], "token_endpoint_auth": {"type": "none"}})
    renewed = sdk.beta.vaults.credentials.create(vault, auth=free).id
    plain = sdk.beta.vaults.credentials.create(vault, auth=oauth(refresh=None, mcp_server_url="http://b.org"))
    secret = {"token_endpoint_auth": {"type": "client_secret_post", "client_secret": "x"}}
    for credential, body, words in [
        (fixed, {"auth": {"token": "x"}}, "auth.type: field is required"),
        (fixed, {"auth": {"type": "mcp_oauth"}}, "auth.type: the kind of a credential can't be changed"),
        (fixed, {"auth": {"type": "environment_variable"}}, "auth.type: the kind"),
        (fixed, {"auth": bearer()}, "auth.mcp_server_url: unknown field"),
        (fixed, {"display_name": ""}, "display_name"),
        (fixed, {"vault_id": vault}, "vault_id: unknown field"),
        (
            renewed,
            {"auth": {"type": "mcp_oauth", "refresh": {"client_id": "x"}}},
            "auth.refresh.client_id: unknown",
        ),
        (renewed, {"auth": {"type": "mcp_oauth", "refresh": secret}}, "the credential has no client secret"),
        (renewed, {"auth": {"type": "mcp_oauth", "expires_at": "2001-01-01T00:00:00Z"}}, "in the future"),
        (
            plain.id,
            {"auth": {"type": "mcp_oauth", "refresh": {"scope": "x"}}},
            "the credential was made without",
        ),
    ]:
        with pytest.raises(anthropic.BadRequestError):
            sdk.post(f"/v1/vaults/{vault}/credentials/{credential}", body=body, cast_to=object, options=BETA)
        assert words in sdk.sent["error"]["message"], body


def test_a_server_has_one_active_credential_in_a_vault_and_a_vault_twenty(sdk: Sdk) -> None:
    vault = sdk.beta.vaults.create(display_name="v").id
    credentials = sdk.beta.vaults.credentials
    for number in range(20):
        credentials.create(vault, auth=bearer(url=f"https://mcp{number}.example.com/mcp"))
    for same in (
        bearer(url="HTTPS://MCP0.example.com:443/mcp/"),
        oauth(mcp_server_url="https://mcp1.example.com/MCP"),
    ):
        with pytest.raises(anthropic.ConflictError):
            credentials.create(vault, auth=same)
        assert sdk.sent["error"]["type"] == "conflict_error"
    with pytest.raises(anthropic.BadRequestError, match="at most 20"):
        credentials.create(vault, auth=bearer())
    pages = credentials.list(vault, limit=7)
    assert len({one.id for one in pages}) == 20
    with pytest.raises(anthropic.BadRequestError, match="invalid page cursor"):
        credentials.list(vault, page="page_forged")


def test_another_owners_vault_is_not_there(company: Server) -> None:
    with (
        Sdk(company, "olga-has-this-token") as olga,
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
        Sdk(company, "rita-has-this-token") as rita,
    ):
        vault = ann.beta.vaults.create(display_name="v").id
        credential = ann.beta.vaults.credentials.create(vault, auth=bearer()).id
        olgas = olga.beta.vaults.create(display_name="o").id
        assert [one.id for one in ann.beta.vaults.list()] == [vault]
        for call in (
            lambda: ben.beta.vaults.retrieve(vault),
            lambda: ben.beta.vaults.retrieve(olgas),
            lambda: ben.beta.vaults.update(vault, display_name="x"),
            lambda: ben.beta.vaults.archive(vault),
            lambda: ben.beta.vaults.delete(vault),
            lambda: ben.beta.vaults.credentials.list(vault),
            lambda: ben.beta.vaults.credentials.create(vault, auth=bearer()),
            lambda: ben.beta.vaults.credentials.retrieve(credential, vault_id=vault),
            lambda: ben.beta.vaults.credentials.update(credential, vault_id=vault, display_name="x"),
            lambda: ben.beta.vaults.credentials.archive(credential, vault_id=vault),
            lambda: ben.beta.vaults.credentials.delete(credential, vault_id=vault),
            lambda: ann.beta.vaults.credentials.retrieve(credential, vault_id=olgas),
        ):
            with pytest.raises(anthropic.NotFoundError):
                call()
        assert {vault, olgas} <= {one.id for one in rita.beta.vaults.list()}
        with pytest.raises(anthropic.PermissionDeniedError):
            rita.beta.vaults.create(display_name="x")
        with pytest.raises(anthropic.BadRequestError, match=r"Invalid vault ID\."):
            ann.beta.vaults.retrieve("vlt_x")
        with pytest.raises(anthropic.BadRequestError, match=r"Invalid credential ID\."):
            ann.beta.vaults.credentials.retrieve("vcrd_x", vault_id=vault)
        assert olga.beta.vaults.retrieve(vault).display_name == "v"
