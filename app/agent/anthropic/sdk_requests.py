"""Requests as the Anthropic SDK makes them, without its work for each.

The SDK makes the first request of each form, and with it the head of those that follow; it makes the error of every
refusal. All else goes past it: to build the same headers, address and options again was a ninth of a short run's CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import anthropic
import httpx2

from app.agent.anthropic.transport import Consumer, Interrupt, ModelTransport, RequestForm, interruptible

_answered: ContextVar[httpx2.Response | None] = ContextVar("answered", default=None)


class SdkRequests:
    """Serves all threads of the process that made it; to be made after a fork."""

    def __init__(
        self, api_key: str, base_url: str | None, transport: ModelTransport, timeout: httpx2.Timeout
    ) -> None:
        """Closes the transport when it is closed."""
        self._transport = transport
        self._client = anthropic.Anthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=httpx2.Client(
                transport=_Replaying(transport),
                timeout=timeout,
                follow_redirects=False,  # the key's header would go along to any host
            ),
            open_telemetry=False,
        )
        self._clients: dict[str, anthropic.Anthropic] = {"": self._client}  # by base URL; never shrinks
        self._forms: dict[
            tuple[str, ...], RequestForm
        ] = {}  # as many as there are base URLs and sets of headers

    def close(self) -> None:
        """Closes the idle connections; no call may begin afterwards."""
        self._client.close()

    def post(
        self,
        base_url: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        interrupt: Interrupt,
        consumer: Consumer,
    ) -> httpx2.Response:
        """The answer, if it is a success, its body unread. The SDK's errors."""
        key = (base_url, path, *headers.values(), *headers)
        form = self._forms.get(key)
        if form is None:
            with interruptible(interrupt, consumer):
                response = self._through_the_sdk(base_url, path, headers, body)
            self._forms[key] = RequestForm.of(_without_body(response.request))
            return response
        try:
            response = self._transport.send(form, body, interrupt, consumer)
        except httpx2.TimeoutException as error:
            raise anthropic.APITimeoutError(request=form.request) from error
        except Exception as error:
            raise anthropic.APIConnectionError(request=form.request) from error
        if response.is_success:
            return response
        with _replaying(response):
            return self._through_the_sdk(base_url, path, headers, b"")

    def _through_the_sdk(
        self, base_url: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx2.Response:
        response = self._client_for(base_url).post(
            path,
            cast_to=anthropic.APIResponse[Any],
            content=body,
            # With the last header the SDK hands out the response unread.
            options={"headers": {**headers, "x-stainless-raw-response": "stream"}},
            stream=True,
            stream_cls=anthropic.Stream[Any],
        )
        # With that header it is what `cast_to` says; the SDK's own types don't know.
        return cast("anthropic.APIResponse[Any]", response).http_response

    def _client_for(self, base_url: str) -> anthropic.Anthropic:
        if base_url not in self._clients:
            self._clients[base_url] = self._client.with_options(base_url=base_url)
        return self._clients[base_url]


class _Replaying(httpx2.BaseTransport):
    """Answers with what is there already, if there is something."""

    def __init__(self, transport: ModelTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answered = _answered.get()
        return self._transport.handle_request(request) if answered is None else answered

    def close(self) -> None:
        self._transport.close()


@contextmanager
def _replaying(response: httpx2.Response) -> Iterator[None]:
    token = _answered.set(response)
    try:
        yield
    finally:
        _answered.reset(token)


def _without_body(request: httpx2.Request) -> httpx2.Request:
    """A form is kept, and no conversation shall be."""
    return httpx2.Request(request.method, request.url, headers=request.headers, extensions=request.extensions)
