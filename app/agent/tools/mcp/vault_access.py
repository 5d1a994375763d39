"""Tokens for tool servers that lie in vaults, not in memory: each request asks for the one that is valid now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from app.agent.redaction import MASK

_MASKED_FROM: Final = 8  # characters; a shorter token would mask plain words
_REMEMBERED: Final = 8  # tokens of one server


class TokenUnavailable(Exception):
    """There is a credential, and its token can't be had; the message says why."""


class Vaults(Protocol):
    def token(self, vault_ids: Sequence[str], url: str, *, refused: str = "") -> str:
        """The token for a server, empty if none of the vaults has one. `refused`: the server did not take this one;
        another one then, or an empty text if there is none. May ask an authorization server, and waits for it.
        TokenUnavailable, StoreUnavailable."""
        ...


class VaultCredentials:
    """Serves one tool server. Any thread may call it."""

    def __init__(self, vaults: Vaults, vault_ids: Sequence[str], url: str) -> None:
        self._vaults = vaults
        self._vault_ids = vault_ids
        self._url = url
        self.refusal = ""
        """Why the server did not take the last request, in words, if it was for want of a token."""
        self._used: deque[str] = deque(maxlen=_REMEMBERED)

    def token(self, refused: str = "") -> str:
        """See `Vaults.token`."""
        token = self._vaults.token(self._vault_ids, self._url, refused=refused)
        if len(token) >= _MASKED_FROM and token not in self._used:
            self._used.append(token)
        return token

    def masked(self, value: Any) -> Any:
        """Text, or JSON, without the tokens that this server was sent."""
        match value:
            case str():
                for token in tuple(self._used):
                    value = value.replace(token, MASK)
            case dict():
                return {self.masked(key): self.masked(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.masked(inner) for inner in value]
        return value
