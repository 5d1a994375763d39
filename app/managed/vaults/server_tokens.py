"""Finds the token for a tool server in the vaults of a session, and gets another one when it has run out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from app.agent.tools.mcp.vault_access import TokenUnavailable
from app.errors import StoreUnavailable
from app.managed.times import moment
from app.managed.vaults.oauth_refresh import SECONDS, Refreshed, refresh
from app.managed.vaults.secret_box import SecretBox, Secrets, SecretsUnreadable
from app.managed.vaults.server_keys import server_key
from app.store.credential_store import Changed, Credential, CredentialStore

log = logging.getLogger(__name__)

HELD_SECONDS: Final = 2 * SECONDS
"""How long a process has the right to a refresh. If it dies in that time, another one tries again behind it."""
EARLY_SECONDS: Final = 30.0
"""A token that runs out within this time is replaced."""
POLL_SECONDS: Final = 0.1
STORE_WAITS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Before each further attempt to store new tokens: the old ones may be used up."""


class ServerTokens:
    """Any thread may call it; it keeps nothing, so what a vault holds now counts for running sessions, too.
    `public_only`: authorization servers are reached at public addresses only."""

    def __init__(self, credentials: CredentialStore, box: SecretBox, *, public_only: bool) -> None:
        self._credentials = credentials
        self._box = box
        self._public_only = public_only

    def token(self, vault_ids: Sequence[str], url: str, *, refused: str = "") -> str:
        """See `app.agent.tools.mcp.vault_access.Vaults`."""
        found = self._credentials.find(vault_ids, server_key(url))
        if found is None:
            return ""
        token = self.secrets(found)["token"]
        if refused:
            return token if token != refused else self.refreshed(found)[0]
        if _runs_out(found):
            return self.refreshed(found)[0] or token
        return token

    def refreshed(self, found: Credential) -> tuple[str, Refreshed | None]:
        """Another token than that of this revision, empty if there is none; and what the authorization server said, if
        this process has asked it. Only one process at a time asks, and the others wait for it. TokenUnavailable."""
        secrets = self.secrets(found)
        if "refresh_token" not in secrets:
            return "", None
        if self._credentials.begin_refresh(found, HELD_SECONDS):
            return self._exchanged(found, secrets)
        return self._of_another_process(found), None

    def _of_another_process(self, found: Credential) -> str:
        """The token that another process gets, once it has come to an end; at most until its right is over."""
        while True:
            current = self._credentials.current(found)
            if current is None or current.sealed is None:
                return ""
            if current.revision != found.revision:
                return self.secrets(current)["token"]
            if not current.is_refreshing:
                return ""
            time.sleep(POLL_SECONDS)

    def _exchanged(self, found: Credential, secrets: Secrets) -> tuple[str, Refreshed]:
        got = refresh(found.definition["auth"]["refresh"], secrets, public_only=self._public_only)
        if not got.token:
            status = "no answer" if got.answer is None else f"status {got.answer.status}"
            log.warning("the token of %s could not be refreshed: %s", found.id, status)
        change = partial(self._renewed, got, secrets) if got.token else None
        stored = self._stored(found, change)
        if not got.token:
            return "", got
        if stored is None:  # somebody has changed the credential meanwhile, and that counts
            current = self._credentials.current(found)
            is_there = current is not None and current.sealed is not None
            return (self.secrets(current)["token"] if current is not None and is_there else ""), got
        return got.token, got

    def _stored(self, found: Credential, change: Any) -> Credential | None:
        for wait in STORE_WAITS:
            try:
                return self._credentials.end_refresh(found, change)
            except StoreUnavailable:
                time.sleep(wait)
        return self._credentials.end_refresh(found, change)

    def _renewed(self, got: Refreshed, secrets: Secrets, current: Credential) -> Changed:
        after: Secrets = {**secrets, "token": got.token}
        if got.refresh_token:
            after["refresh_token"] = got.refresh_token
        until = None if got.expires_in is None else moment(current.read_at + got.expires_in)
        definition = {**current.definition, "auth": {**current.definition["auth"], "expires_at": until}}
        return definition, self._box.seal(after)

    def secrets(self, found: Credential) -> Secrets:
        """TokenUnavailable."""
        try:
            return self._box.open(found.id, found.sealed or "")
        except SecretsUnreadable as error:
            raise TokenUnavailable(str(error)) from error


def _runs_out(found: Credential) -> bool:
    until = found.definition["auth"].get("expires_at")
    return until is not None and datetime.fromisoformat(until).timestamp() <= found.read_at + EARLY_SECONDS
