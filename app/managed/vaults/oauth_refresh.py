"""Gets a new access token for a refresh token (RFC 6749, 6)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

import orjson

from app.managed.vaults.posting import post

if TYPE_CHECKING:
    from app.agent.tools.configured_http import HttpAnswer

Json = dict[str, Any]

SECONDS: Final = 15.0
MAX_SECRET: Final = 8192


@dataclass(frozen=True, slots=True)
class Refreshed:
    """`token` is empty if there is none: then `answer` is what the authorization server said, None if it could not be
    reached. `refresh_token` is empty if the old one stays. `expires_in`: seconds, None if it did not say."""

    answer: HttpAnswer | None
    token: str = ""
    refresh_token: str = ""
    expires_in: float | None = None


def refresh(about: Json, secrets: Mapping[str, str], *, public_only: bool) -> Refreshed:
    """`about` is the part `refresh` of a credential. The refresh token may be used up by this."""
    form = {"grant_type": "refresh_token", "refresh_token": secrets["refresh_token"]}
    form |= {name: about[name] for name in ("scope", "resource") if about[name]}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    client, secret = about["client_id"], secrets.get("client_secret", "")
    match about["token_endpoint_auth"]["type"]:
        case "client_secret_basic":
            pair = f"{quote_plus(client)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        case "client_secret_post":
            form |= {"client_id": client, "client_secret": secret}
        case _:
            form["client_id"] = client
    body = urlencode(form).encode()
    answer = post(about["token_endpoint"], body, headers=headers, seconds=SECONDS, public_only=public_only)
    return Refreshed(None) if answer is None else _read(answer)


def _read(answer: HttpAnswer) -> Refreshed:
    try:
        said = orjson.loads(answer.body)
    except ValueError:
        said = None
    if answer.status != HTTPStatus.OK or answer.is_cut or not isinstance(said, dict):
        return Refreshed(answer)
    seconds = said.get("expires_in")
    known = isinstance(seconds, int | float) and 0 < seconds < 1e10
    return Refreshed(
        answer,
        _secret(said.get("access_token")),
        _secret(said.get("refresh_token")),
        float(seconds) if known and seconds is not None else None,
    )


def _secret(text: Any) -> str:
    """A token that can stand in a header; empty for anything else."""
    fits = isinstance(text, str) and len(text) <= MAX_SECRET and all("!" <= letter <= "~" for letter in text)
    return str(text) if fits else ""
