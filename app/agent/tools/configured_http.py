"""HTTP to addresses that the agent's author wrote down, private ones included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from app.agent.model import Cancellation
from app.agent.tools.public_http import Line, open_session
from app.agent.toolset import CANCELLED, ToolCancelled

SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5

_CHUNK: Final = 65_536


class RequestFailed(Exception):
    """No whole answer came; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`is_cut`: there was more than the limit allows."""

    status: int
    content_type: str
    body: bytes
    is_cut: bool

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").replace("\0", "\ufffd")


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    cancellation: Cancellation,
    limit: int,
    params: Mapping[str, Any] | None = None,
    body: bytes | None = None,
    seconds: float = SECONDS,
) -> Answer:
    """One request and its answer, whatever its status. Raises RequestFailed, or ToolCancelled on a cancel.

    Only a GET's redirects to the same host are followed: headers and body are meant for no other.
    """
    try:
        with open_session(seconds, cancellation=cancellation, allow_private=True, headers=headers) as (
            session,
            line,
        ):
            try:
                return _exchanged(session, line, method, url, params, body, limit)
            except RequestFailed:
                if line.is_late:
                    raise RequestFailed(f"no answer within {seconds:g} seconds") from None
                raise
    finally:
        if cancellation.is_set():
            raise ToolCancelled(CANCELLED)


def _exchanged(
    session: requests.Session,
    line: Line,
    method: str,
    url: str,
    params: Mapping[str, Any] | None,
    body: bytes | None,
    limit: int,
) -> Answer:
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = session.request(
                method,
                url,
                params=params,
                data=body,
                stream=True,
                allow_redirects=False,
                timeout=line.seconds_left,
            )
            with response:
                target = session.get_redirect_target(response)
                if target is None:
                    return _answer(response, line, limit)
            url, params = _following(response, target), None
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise RequestFailed(_reason(error)) from error
    raise RequestFailed(f"stopped after {MAX_REDIRECTS} redirects")


def _following(response: requests.Response, target: str) -> str:
    url = urljoin(response.url, target)
    if response.request.method != "GET" or urlsplit(url)[:2] != urlsplit(response.url)[:2]:
        raise RequestFailed(f"redirected to {url}, which is not followed")
    return url


def _answer(response: requests.Response, line: Line, limit: int) -> Answer:
    body = bytearray()
    while len(body) <= limit:
        chunk = response.raw.read(_CHUNK, decode_content=True)
        if not chunk:
            break
        body += chunk
    if line.is_cut:
        raise RequestFailed("the connection was cut")
    content_type = response.headers.get("Content-Type", "")
    return Answer(response.status_code, content_type, bytes(body[:limit]), len(body) > limit)


def _reason(error: BaseException) -> str:
    """The innermost cause: the outer ones are about pools and retries."""
    while isinstance(inner := error.__cause__ or error.__context__, OSError | HTTPError | ValueError):
        error = inner
    return str(error) or type(error).__name__
