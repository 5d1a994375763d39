"""Requests by `requests`, and what they bring. `asynchronous.connection` is the same for asyncio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests

from .client_errors import HttpFailure, in_short

PIECE: Final = 512
"""Bytes read at once; a connection that breaks within them takes them along."""


class Answer:
    """What a server answers. HttpFailure if it breaks off."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.reason = str(response.reason or "")
        self.url = response.url
        self.headers: Mapping[str, str] = response.headers

    def read(self) -> bytes:
        try:
            return self._response.content
        except (requests.RequestException, OSError) as error:
            raise HttpFailure(in_short(error)) from error

    def pieces(self) -> Iterator[bytes]:
        """The body, as it comes."""
        # A piece ends with its chunk. Without chunks, as behind an old proxy, only a byte does not wait for more.
        size = PIECE if getattr(self._response.raw, "chunked", False) else 1
        try:
            yield from self._response.iter_content(size)
        except (requests.RequestException, OSError) as error:
            raise HttpFailure(in_short(error)) from error

    def close(self) -> None:
        self._response.close()


class Connection:
    """Belongs to one thread at a time."""

    def __init__(self, token: str | None, *, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._http = requests.Session()
        self._http.auth = _Bearer(token)

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, Any],
        body: Any,
        headers: Mapping[str, str],
        stream: bool,
        idle_seconds: float,
    ) -> Answer:
        try:
            response = self._http.request(
                method,
                url,
                params=query,
                json=body,
                headers=headers,
                stream=stream,
                timeout=(self._connect_seconds, idle_seconds),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise HttpFailure(in_short(error)) from error
        return Answer(response)


class _Bearer(requests.auth.AuthBase):
    """Unlike a header, it is not overruled by a `.netrc`."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
