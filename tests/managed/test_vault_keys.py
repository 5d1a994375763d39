"""The key that encrypts the secrets in vaults: missing, lost and replaced."""

from __future__ import annotations

from pathlib import Path

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from app.managed.vaults.resealing import reseal_all
from app.managed.vaults.secret_box import SecretBox, SecretsUnreadable
from tests.conftest import make_settings
from tests.managed.conftest import VAULT_KEY, Sdk
from tests.managed.test_vaults import TOKEN, bearer, oauth

OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


def test_without_the_key_secrets_can_not_be_stored_and_the_rest_works(
    tmp_path: Path, stand_in: OfflineServer
) -> None:
    first = build(make_settings(tmp_path, stand_in.url, vault_keys=(OTHER_KEY,)))
    with Sdk(first, "anything") as sdk:
        vault = sdk.beta.vaults.create(display_name="v").id
        credential = sdk.beta.vaults.credentials.create(vault, auth=oauth()).id
        fixed = sdk.beta.vaults.credentials.create(vault, auth=bearer(url="https://fixed.org")).id
    first.close()
    for keys, words in (((), "BATON_VAULT_KEY"), ((VAULT_KEY,), "no key of BATON_VAULT_KEY opens them")):
        server = build(make_settings(tmp_path, stand_in.url, vault_keys=keys))
        with Sdk(server, "anything") as sdk:
            credentials = sdk.beta.vaults.credentials
            assert [one.id for one in credentials.list(vault)] == [fixed, credential]
            assert credentials.update(credential, vault_id=vault, display_name="n").display_name == "n"
            with pytest.raises(anthropic.BadRequestError, match=words):
                credentials.update(
                    credential, vault_id=vault, auth={"type": "mcp_oauth", "access_token": "x"}
                )
            if keys:
                credentials.update(
                    fixed, vault_id=vault, auth={"type": "static_bearer", "token": "given-anew"}
                )
            else:
                with pytest.raises(anthropic.BadRequestError, match=words):
                    credentials.create(vault, auth=bearer(url="https://b.org"))
        server.close()
    server = build(make_settings(tmp_path, stand_in.url, vault_keys=(VAULT_KEY, OTHER_KEY)))
    with Sdk(server, "anything") as sdk:
        credentials = sdk.beta.vaults.credentials
        credentials.update(credential, vault_id=vault, auth={"type": "mcp_oauth", "access_token": "x"})
        credentials.create(vault, auth=bearer(url="https://c.org"))
    server.close()


def test_the_key_is_replaced(tmp_path: Path, stand_in: OfflineServer) -> None:
    old = build(make_settings(tmp_path, stand_in.url, vault_keys=(OTHER_KEY,)))
    with Sdk(old, "anything") as sdk:
        vault = sdk.beta.vaults.create(display_name="v").id
        credential = sdk.beta.vaults.credentials.create(vault, auth=oauth()).id
    store = old.store.credentials
    assert reseal_all(store, SecretBox((VAULT_KEY,))) == (0, [credential])
    assert reseal_all(store, SecretBox((VAULT_KEY, OTHER_KEY))) == (1, [])
    (_, sealed), *others = store.sealed(behind="", limit=9)
    old.close()
    assert not others
    assert SecretBox((VAULT_KEY,)).open(credential, sealed)["token"] == TOKEN
    with pytest.raises(SecretsUnreadable, match=f"{credential} can't be read"):
        SecretBox((OTHER_KEY,)).open(credential, sealed)
