"""HTTP to addresses that the agent's author wrote down, private ones included, and to public ones that come from
elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from app.agent.model_client import Cancellation
from app.agent.retry_after import retry_after
from app.agent.tools.http_text import decoded
from app.agent.tools.public_http import AddressRefused, Line, NoThread, innermost_reason, open_session
from app.agent.tools.url_template import is_at
from app.agent.toolset import CANCELLED, CANCELLED_TOO_LATE, OutcomeUnknown, ToolCancelled

READING: Final = ("GET", "HEAD", "OPTIONS")  # methods that promise to change nothing
SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5

_CHUNK: Final = 65_536


class RequestFailed(Exception):
    """No whole answer came, and the request has changed nothing; the message says why."""


class Redirected(RequestFailed):
    """The answer leads elsewhere, and is not followed."""


class _NoAnswer(Exception):
    """No whole answer came; the message says why."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`is_cut`: there was more than the limit allows."""

    status: int
    content_type: str
    body: bytes
    is_cut: bool
    retry_after: float = 0.0  # seconds, if the server says so

    @property
    def text(self) -> str:
        return decoded(self.body, self.content_type)


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
    changes: bool = False,
    public_only: bool = False,
) -> HttpAnswer:
    """One request and its answer, whatever its status. `changes`: the request may change something. `public_only`:
    private addresses are refused, as for an address that the agent's author did not write down.

    Raises RequestFailed, or ToolCancelled on a cancel; OutcomeUnknown instead if a request that may change
    something has left. Only a GET's redirects to the same host are followed: headers and body are meant for no
    other.
    """
    try:
        with open_session(
            seconds, cancellation=cancellation, allow_private=not public_only, headers=headers
        ) as (session, line):
            try:
                return _exchanged(session, line, method, url, params, body, limit)
            except _NoAnswer as failure:
                raise _verdict(failure, line, cancellation, seconds, changes=changes) from failure
    except NoThread as failure:
        raise RequestFailed(str(failure)) from failure


def _verdict(
    failure: _NoAnswer, line: Line, cancellation: Cancellation, seconds: float, *, changes: bool
) -> Exception:
    """The outcome of a call without an answer."""
    is_unknown = changes and line.has_sent
    if cancellation.is_set():
        return OutcomeUnknown(CANCELLED_TOO_LATE) if is_unknown else ToolCancelled(CANCELLED)
    words = f"no answer within {seconds:g} seconds" if line.is_late else str(failure)
    return OutcomeUnknown(words) if is_unknown else RequestFailed(words)


def _exchanged(
    session: requests.Session,
    line: Line,
    method: str,
    url: str,
    params: Mapping[str, Any] | None,
    body: bytes | None,
    limit: int,
) -> HttpAnswer:
    try:
        for _ in range(MAX_REDIRECTS + 1):
            line.has_sent = False
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
    except AddressRefused as refused:
        raise RequestFailed(str(refused)) from refused
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise _NoAnswer(innermost_reason(error)) from error
    raise RequestFailed(f"stopped after {MAX_REDIRECTS} redirects")


def _following(response: requests.Response, target: str) -> str:
    url = urljoin(response.url, target)
    if response.request.method != "GET" or not is_at(url, [response.url]):
        raise Redirected(f"redirected to {url}, which is not followed")
    return url


def _answer(response: requests.Response, line: Line, limit: int) -> HttpAnswer:
    body = bytearray()
    while len(body) <= limit:
        chunk = response.raw.read(_CHUNK, decode_content=True)
        if not chunk:
            break
        body += chunk
    if line.is_cut:
        raise _NoAnswer("the connection was cut")
    content_type = response.headers.get("Content-Type", "")
    wait = retry_after(response.headers, time.time()) or 0.0
    return HttpAnswer(response.status_code, content_type, bytes(body[:limit]), len(body) > limit, wait)
