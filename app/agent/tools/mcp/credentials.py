"""Credentials for a tool server: a token that somebody got for us, and how to get the next one. In memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Credentials:
    """Changed on the loop of the server's thread only, when a token has run out."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    token_endpoint: str = ""  # of the authorization server that somebody was sent to
    client_id: str = ""

    @classmethod
    def granted(cls, content: Mapping[str, Any], meta: Mapping[str, Any]) -> Self:
        """The token that somebody got, by the metadata that he was shown."""
        metadata = meta.get("auth_server_metadata") or {}
        return cls(
            access_token=_text(content.get("access_token")),
            refresh_token=_text(content.get("refresh_token")),
            token_endpoint=_text(metadata.get("token_endpoint")),
            client_id=_text(content.get("client_id")),
        )

    def renewed(self, content: Mapping[str, Any]) -> bool:
        """Takes over what the authorization server has answered; a refresh token that it does not mention stays."""
        token = _text(content.get("access_token"))
        if token:
            self.access_token = token
            self.refresh_token = _text(content.get("refresh_token")) or self.refresh_token
        return bool(token)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
