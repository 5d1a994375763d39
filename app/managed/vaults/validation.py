"""Tries a credential at its MCP server, and says how that went."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.agent.redaction import MASK
from app.agent.tools.mcp.vault_access import TokenUnavailable
from app.errors import InvalidRequest
from app.managed.times import moment
from app.managed.vaults.oauth_refresh import Refreshed
from app.managed.vaults.posting import post
from app.managed.vaults.server_tokens import ServerTokens
from app.store.credential_store import Credential

if TYPE_CHECKING:
    from app.agent.tools.configured_http import HttpAnswer

Json = dict[str, Any]

SECONDS: Final = 10.0
MAX_SHOWN: Final = 2_000  # characters of an answer

_METHOD: Final = "initialize"
_REQUEST: Final = orjson.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": _METHOD,
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "baton", "version": "1.0.0"},
        },
    }
)


class CredentialCheck:
    """`public_only`: servers are reached at public addresses only."""

    def __init__(self, tokens: ServerTokens, *, public_only: bool) -> None:
        self._tokens = tokens
        self._public_only = public_only

    def validate(self, found: Credential) -> Json:
        """Asks the server, and once more with another token if it refuses this one and there is another. InvalidRequest
        for a credential of another kind, an archived one, and one whose secrets can't be read."""
        if found.definition["auth"]["type"] != "mcp_oauth":
            raise InvalidRequest("only credentials of the type mcp_oauth can be validated")
        if found.sealed is None:
            raise InvalidRequest("Credential is archived.")
        try:
            return self._tried(found)
        except TokenUnavailable as error:
            raise InvalidRequest(str(error)) from None

    def _tried(self, found: Credential) -> Json:
        secrets = self._tokens.secrets(found)
        known = {*secrets.values()}
        answer, refresh = self._probe(found, secrets["token"]), None
        if _refuses(answer, HTTPStatus.UNAUTHORIZED):
            token, got = self._tokens.refreshed(found)
            refresh = _refresh_json(token, got, known, has_one="refresh_token" in secrets)
            if token:
                known |= {token, *([got.refresh_token] if got and got.refresh_token else [])}
                answer = self._probe(found, token)
        works = answer is not None and answer.status < HTTPStatus.MULTIPLE_CHOICES
        refused = _refuses(answer, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        probe = {"method": _METHOD, "http_response": None if answer is None else _answer_json(answer, known)}
        return {
            "type": "vault_credential_validation",
            "vault_id": found.vault_id,
            "credential_id": found.id,
            "status": "valid" if works else "invalid" if refused else "unknown",
            "has_refresh_token": "refresh_token" in secrets,
            "mcp_probe": None if works else probe,
            "refresh": refresh,
            "validated_at": moment(time.time()),
        }

    def _probe(self, found: Credential, token: str) -> HttpAnswer | None:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        url = found.definition["auth"]["mcp_server_url"]
        return post(url, _REQUEST, headers=headers, seconds=SECONDS, public_only=self._public_only)


def _refuses(answer: HttpAnswer | None, *statuses: HTTPStatus) -> bool:
    return answer is not None and answer.status in statuses


def _refresh_json(token: str, got: Refreshed | None, known: Iterable[str], *, has_one: bool) -> Json:
    """`token` is the new one, if there is one: perhaps another process has got it."""
    if token:
        return {"status": "succeeded", "http_response": None}
    if not has_one:
        return {"status": "no_refresh_token", "http_response": None}
    if got is None or got.answer is None:
        return {"status": "connect_error", "http_response": None}
    return {"status": "failed", "http_response": _answer_json(got.answer, known)}


def _answer_json(answer: HttpAnswer, secrets: Iterable[str]) -> Json:
    """Without the credential's secrets, which a server may say again."""
    text = answer.text
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return {
        "status_code": answer.status,
        "content_type": answer.content_type,
        "body": text[:MAX_SHOWN],
        "body_truncated": answer.is_cut or len(text) > MAX_SHOWN,
    }
