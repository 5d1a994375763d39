"""Requests to one server, repeated when they failed on their way."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import requests

from .client_errors import BatonError, NotFoundError, TooManyError, UnavailableError, error_of

TEMPORARY: Final = ("server_full", "draining", "store_unavailable", "")
"""Codes of a 503 that is worth another try; a proxy's answer has none."""

GARBLED_ATTEMPTS: Final = 3
"""An answer that is none of Baton's was cut, or comes from another kind of server; soon it must be the latter."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request that may be sent again as it is, unless it is not `repeatable`.

    `patience` is added to how long the first byte may take, in seconds. `gone_is_done`: a 404 to a repeated call
    tells that the first one was heard. `bodiless`: the answer says all by its headers.
    """

    method: str
    path: str
    body: Any = None
    query: Mapping[str, Any] | None = None
    key: str | None = None  # with the same key it is the same request
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    patience: float = 0.0
    repeatable: bool = True
    gone_is_done: bool = False
    bodiless: bool = False

    @property
    def all_headers(self) -> dict[str, str]:
        headers = dict(self.headers)
        if self.key:
            headers["Idempotency-Key"] = self.key
        if self.stream:
            headers["Accept-Encoding"] = "identity"  # whatever compresses a stream holds it back
            headers["Baton-Wire"] = "later"  # the form of the events that are read here
        return headers


class RetryClock:
    """Counts, and waits longer each time."""

    FIRST: Final = 0.1
    LONGEST: Final = 3.0

    def __init__(self) -> None:
        self.number = 0

    def pause(self) -> float:
        return float(min(self.LONGEST, self.FIRST * 2 ** (self.number - 1)))


class HttpTransport:
    """Belongs to one thread at a time."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        connect_seconds: float,
        idle_seconds: float,
        retry_seconds: float,
    ) -> None:
        self.url = url.rstrip("/")
        self.retry_seconds = retry_seconds
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._http = requests.Session()
        self._http.auth = _Bearer(token)

    def close(self) -> None:
        self._http.close()

    def send(self, call: ApiCall, attempts: RetryClock | None = None) -> requests.Response:
        """The answer, if it is none from 300 on; else a BatonError. A request that failed on its way, or found no
        room, is tried again for `retry_seconds`, and not before the server's `Retry-After` if there is too much of
        something. `attempts` tells the caller afterwards how often it was sent."""
        attempts = attempts or RetryClock()
        deadline = time.monotonic() + (self.retry_seconds if call.repeatable else 0.0)
        while True:
            attempts.number += 1
            try:
                return self._send_once(call, is_last=attempts.number >= GARBLED_ATTEMPTS)
            except NotFoundError:
                if call.gone_is_done and attempts.number > 1:
                    return requests.Response()
                raise
            except TooManyError as error:
                pause = max(attempts.pause(), error.retry_after)
                if time.monotonic() + pause > deadline:
                    raise
            except UnavailableError as error:
                pause = attempts.pause()
                if error.code not in TEMPORARY or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)

    def _send_once(self, call: ApiCall, *, is_last: bool) -> requests.Response:
        """`is_last`: an answer that does not look like Baton's is one all the same, of some other server."""
        try:
            response = self._http.request(
                call.method,
                self.url + call.path,
                params=call.query,
                json=call.body,
                headers=call.all_headers,
                stream=call.stream,
                timeout=(self._connect_seconds, self._idle_seconds + call.patience),
                allow_redirects=False,
            )
            if not is_last and not call.bodiless and not _is_whole(response, stream=call.stream):
                response.close()
                raise UnavailableError(f"{self.url} does not answer as Baton does")
            if response.status_code < 300:
                return response
            raise error_of(response)
        except requests.RequestException as error:
            raise UnavailableError(f"{self.url} can't be reached: {_in_short(error)}") from error


class _Bearer(requests.auth.AuthBase):
    """Unlike a header, it is not overruled by a `.netrc`."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def path(*parts: str) -> str:
    """Below `/api`; a part may hold any characters."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def new_key() -> str:
    """For `Idempotency-Key`."""
    return uuid.uuid4().hex


def json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise BatonError(f"{response.url} did not answer with JSON", status=response.status_code) from None


def _is_whole(response: requests.Response, *, stream: bool) -> bool:
    """A head that was cut passes for one that has fewer lines, and what follows it is lost."""
    if stream and response.status_code == 200:
        return response.headers.get("Content-Type", "").startswith("text/event-stream") and (
            response.request.method == "GET" or "X-Run-ID" in response.headers
        )
    try:
        response.json()
    except (ValueError, requests.RequestException):
        return False
    return True


def _in_short(cause: BaseException) -> str:
    """The innermost reason; the errors around it repeat addresses of objects."""
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__
