"""Talks to the Messages API through the Anthropic SDK; nothing of the SDK passes this module.

The SDK brings keys, headers and errors; the transport beneath it and the reading of the stream are ours. One
attempt per call: when to try again is the loop's business, which knows what was shown and can be stopped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from typing import Any, Final, cast

import anthropic
import httpx2
import orjson

from app.agent.anthropic.sdk_requests import SdkRequests
from app.agent.anthropic.sse_decoder import MalformedStream
from app.agent.anthropic.text_relay import TextRelay
from app.agent.anthropic.transport import Interrupt, ModelTransport, Reading
from app.agent.anthropic.turn_accumulator import StreamFailed, TurnAccumulator
from app.agent.model_client import Cancellation, FailureKind, ModelError, ModelEvent, ModelRequest
from app.agent.retry_after import retry_after

# Looked up along the MRO. What an error with HTTP status 400 to 499 means is refined by its words.
KINDS: Final[Mapping[type[Exception], FailureKind]] = {
    anthropic.APIConnectionError: "retryable",
    anthropic.RetryableError: "retryable",
    anthropic.RequestTimeoutError: "retryable",
    anthropic.ConflictError: "retryable",
    anthropic.InternalServerError: "retryable",
    anthropic.RateLimitError: "rate_limited",
    anthropic.ContractSpendLimitReachedError: "final",  # 429, but waiting does not help
    anthropic.EnforcedSpendLimitReachedError: "final",
    anthropic.ContentTooLargeError: "overflow",
    anthropic.BadRequestError: "final",
    anthropic.AuthenticationError: "final",
    anthropic.PaymentRequiredError: "final",
    anthropic.PermissionDeniedError: "final",
    anthropic.NotFoundError: "final",
    anthropic.PreconditionFailedError: "final",
    anthropic.UnprocessableEntityError: "final",
    anthropic.RequestHeaderFieldsTooLargeError: "final",
    anthropic.ClientClosedRequestError: "final",
    anthropic.APIResponseValidationError: "final",
    anthropic.APIWebhookValidationError: "final",
    anthropic.CredentialsError: "final",
    anthropic.WorkloadIdentityError: "final",
    httpx2.UnsupportedProtocol: "final",
    httpx2.InvalidURL: "final",
    httpx2.HTTPError: "retryable",
    MalformedStream: "retryable",
}

SAMPLING: Final = frozenset({"temperature", "top_p"})
VERSION_WITH_SAMPLING: Final = "2023-06-01"
"""The newest version of the API that takes them, from older models."""

# An error in mid-stream comes with HTTP 200 and has nothing but its type.
KINDS_IN_STREAM: Final[Mapping[str, FailureKind]] = {
    "overloaded_error": "retryable",
    "api_error": "retryable",
    "timeout_error": "retryable",
    "conflict_error": "retryable",
    "rate_limit_error": "rate_limited",
    "request_too_large": "overflow",
}

STATUS_IN_STREAM: Final[Mapping[str, int]] = {"rate_limit_error": 429, "overloaded_error": 529}

# Errors without a code of their own. No other text is worth matching: they change.
_OVERFLOW: Final = ("prompt is too long", "exceed context limit", "model_context_window")
_THINKING_MISMATCH: Final = (
    "Invalid `signature` in `thinking` block",
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
)

_PICTURE_REFUSED: Final = re.compile(
    r"messages\.\d+\.content\.\d+\S*\b(image|document|pdf)\b|could not process (image|pdf)|image exceeds"
    r"|image dimensions exceed|too much media|unable to download the file|pdf specified|pdf pages",
    re.IGNORECASE,
)

_FAILURES: Final = (
    anthropic.AnthropicError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    MalformedStream,
    StreamFailed,
)


class AnthropicModel:
    """A ModelClient. One per process, made after the fork; it may be made long before it is first used.

    `first_byte_timeout` is how long the API may think before it answers at all, `stall_timeout` how long an
    answer may pause: the API sends a ping every few seconds, so silence means that the connection is dead.
    Time-outs are in seconds. `reading` is entered, on the thread that reads for all, around what it shows at one
    go. ValueError for a key that can't be one.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        connect_timeout: float = 10.0,
        first_byte_timeout: float = 600.0,
        stall_timeout: float = 120.0,
        keep_alive: float = 300.0,
        reading: Reading = nullcontext,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no key has; a line break at its end, perhaps?")
        self._api_key = api_key
        timeout = httpx2.Timeout(first_byte_timeout, connect=connect_timeout, write=stall_timeout)
        transport = ModelTransport(stall_timeout=stall_timeout, keep_alive=keep_alive, reading=reading)
        self._requests = SdkRequests(api_key, base_url, transport, timeout)

    def close(self) -> None:
        """Closes the idle connections; no call may begin afterwards."""
        self._requests.close()

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        interrupt, accumulator, shown = Interrupt(), TurnAccumulator(), False
        answer = TextRelay(accumulator, interrupt, request.show)
        with cancellation.calling(interrupt.request):
            try:
                with closing(self._events(request, interrupt, answer)) as events:
                    for event in events:
                        delta = accumulator.add(event)
                        if delta is not None:
                            shown = True
                            yield delta
                        answer.shown(delta)
                        if accumulator.finished or interrupt.requested:
                            break
                if not accumulator.finished:
                    raise MalformedStream("it ended before the turn did")
            except _FAILURES as error:
                raise self._failed(error, accumulator, shown=shown, cancelled=interrupt.requested) from error
        yield accumulator.turn()

    def _events(self, request: ModelRequest, interrupt: Interrupt, answer: TextRelay) -> Generator[Any]:
        response = self._post(request, interrupt, answer)
        # Reading raw is quicker, and nothing is compressed unless somebody on the way thinks he must.
        with closing(cast("httpx2.SyncByteStream", response.stream)) as stream:
            content_type = response.headers.get("content-type", "text/event-stream")
            if not content_type.startswith("text/event-stream"):
                raise MalformedStream(f"it is {content_type}, not an event stream")
            parts = iter(stream)
            if "content-encoding" in response.headers:
                answer.read_alone()
                parts = response.iter_bytes()
            del response  # and its request, whose body is the conversation once more
            for part in parts:
                yield from answer.events(part)

    def _post(self, request: ModelRequest, interrupt: Interrupt, answer: TextRelay) -> httpx2.Response:
        headers = {"accept-encoding": "identity"}
        if not SAMPLING.isdisjoint(request.options):
            headers["anthropic-version"] = VERSION_WITH_SAMPLING
        if request.betas:
            headers["anthropic-beta"] = ",".join(request.betas)
        path = "/v1/messages?beta=true" if request.betas else "/v1/messages"
        return self._requests.post(request.base_url, path, headers, request_body(request), interrupt, answer)

    def _failed(
        self, error: Exception, accumulator: TurnAccumulator, *, shown: bool, cancelled: bool
    ) -> ModelError:
        headers = error.response.headers if isinstance(error, anthropic.APIStatusError) else {}
        message = "The model call was cancelled." if cancelled else _describe(error)
        return ModelError(
            message.replace(self._api_key, "…") if self._api_key else message,
            kind="cancelled" if cancelled else classify(error),
            status=_status(error),
            retry_after=retry_after(headers, time.time()),
            partial=accumulator.partial(),
            shown=shown,
            usage=accumulator.used(),
        )


def request_body(request: ModelRequest) -> bytes:
    """The request's JSON, joined from pieces that are JSON already."""
    parts = [
        b'{"model":',
        orjson.dumps(request.model),
        b',"max_tokens":%d,"stream":true' % request.max_tokens,
    ]
    if request.options:
        parts += [b",", orjson.dumps(_accepted(request.options))[1:-1]]
    if request.tools:
        parts += [b',"tools":', request.tools]
    if request.system:
        parts += [b',"system":', request.system]
    return b"".join([*parts, b',"messages":[', b",".join(request.messages), b"]}"])


def _accepted(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the schema of a structured output as the API takes it: objects closed, limits put into words. One that
    can't be read goes as it is, and the API says what is wrong with it."""
    output = options.get("output_config") or {}
    form = output.get("format")
    if not form:
        return options
    try:
        schema = anthropic.transform_schema(form["schema"])
    except (ValueError, AssertionError, TypeError, AttributeError):
        return options
    return {**options, "output_config": {**output, "format": {**form, "schema": schema}}}


def classify(error: Exception) -> FailureKind:
    """The reaction to an error, a cancel apart."""
    if isinstance(error, StreamFailed):
        kind = KINDS_IN_STREAM.get(str(error.error.get("type")), "final")
    else:
        wrapped = isinstance(error, anthropic.APIConnectionError) and error.__cause__
        kind = next((KINDS[one] for one in type(wrapped or error).__mro__ if one in KINDS), "final")
    if isinstance(error, anthropic.APIStatusError):
        kind = _as_the_server_says(kind, error.response.headers.get("x-should-retry"))
    return _as_the_words_say(kind, str(error)) if kind == "final" else kind


def _as_the_server_says(kind: FailureKind, should_retry: str | None) -> FailureKind:
    if should_retry == "true" and kind == "final":
        return "retryable"
    return "final" if should_retry == "false" and kind in ("retryable", "rate_limited") else kind


def _as_the_words_say(kind: FailureKind, words: str) -> FailureKind:
    if any(text in words for text in _THINKING_MISMATCH):
        return "thinking_mismatch"
    if _PICTURE_REFUSED.search(words):
        return "picture_refused"
    return "overflow" if any(text in words for text in _OVERFLOW) else kind


def _status(error: Exception) -> int | None:
    """An error in mid-stream has that of its type."""
    if isinstance(error, StreamFailed):
        return STATUS_IN_STREAM.get(str(error.error.get("type")))
    return error.status_code if isinstance(error, anthropic.APIStatusError) else None


def _describe(error: Exception) -> str:
    match error:
        case anthropic.APIStatusError():
            words = error.api_message or str(error)[:1000]
            kind = f"{error.status_code} {error.type}" if error.type else str(error.status_code)
            request = f" (request {error.request_id})" if error.request_id else ""
            return f"The model's API answered {kind}: {words}{request}"
        case StreamFailed():
            return f"The model's API gave up with {error.error.get('type')}: {error}"
        case anthropic.APIConnectionError():
            return f"The model's API can't be reached: {error.__cause__ or error}"
        case _:
            return f"The model's answer broke off: {error}"
