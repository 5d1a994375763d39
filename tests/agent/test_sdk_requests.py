"""What the SDK does once for all requests of a form: later ones are the same, and fail in the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from app.agent.anthropic.anthropic_model import AnthropicModel
from app.agent.model_client import ModelError
from tests.agent.socket_server import Peer, serving, sse
from tests.agent.test_anthropic_model import HELLO, KEY, START, STOP, Cancel, end, failure, model_at

DONE = sse(START, end(), STOP)
SECOND = replace(HELLO, messages=[b'{"role":"user","content":"Hi again"}'])

Answer = Callable[[Peer], object]


def after_a_success(*answers: Answer) -> Callable[[Peer], None]:
    """The first answer is a good one, and brings a cookie."""
    left = [_good, *answers]

    def script(peer: Peer) -> None:
        while left and peer.request():
            left.pop(0)(peer)

    return script


def _good(peer: Peer) -> None:
    peer.stream_head("set-cookie: visit=1")
    peer.chunk(DONE)
    peer.chunk(b"")


def refusing(status: int, body: bytes, *headers: str) -> Answer:
    return lambda peer: peer.answer(body, *headers, status=f"{status} X")


def test_the_second_request_is_the_first_with_another_body() -> None:
    with serving(after_a_success(_good, _good)) as server:
        model = AnthropicModel(KEY, server.url)
        for request in (HELLO, SECOND, HELLO):
            list(model.stream(request, Cancel()))
        model.close()
    first, second, third = server.requests
    assert second.line == first.line
    assert second.body == first.body.replace(b"Hi", b"Hi again")
    assert second.headers == {**first.headers, "content-length": str(len(second.body))}
    assert third == first
    assert server.connections == 1


def test_requests_of_another_form_have_their_own_head() -> None:
    sampled = replace(HELLO, options={"temperature": 0.5})
    with serving(after_a_success(*[_good] * 5)) as server:
        model = AnthropicModel(KEY, server.url)
        for request in [HELLO, sampled, replace(HELLO, betas=("a-1",))] * 2:
            list(model.stream(request, Cancel()))
        model.close()
    for first, second in zip(server.requests[:3], server.requests[3:], strict=True):
        assert {**second.headers, "cookie": ""} == {**first.headers, "cookie": ""}
        assert second.line == first.line
    plain, sampling, beta = (request.headers for request in server.requests[3:])
    assert sampling["anthropic-version"] == "2023-06-01"
    assert beta["anthropic-beta"] == "a-1"
    assert "anthropic-beta" not in plain


ERROR = {"type": "error", "error": {"type": "some_error", "message": f"No, {KEY}."}}


@pytest.mark.parametrize(
    "answer",
    [
        *(refusing(status, orjson.dumps(ERROR), "request-id: r") for status in (400, 401, 413, 500, 529)),
        refusing(429, orjson.dumps(ERROR), "retry-after: 7"),
        refusing(529, b"busy", "x-should-retry: false"),
        refusing(307, b"", "location: http://127.0.0.1:9"),
        refusing(413, b"<h1>Request Entity Too Large</h1>"),
        lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
        lambda peer: peer.reset(),
        lambda peer: peer.until_gone(),
    ],
)
def test_a_failure_is_told_as_if_it_had_been_the_first(answer: Answer) -> None:
    def always(peer: Peer) -> None:
        while peer.request():
            answer(peer)
            return

    with model_at(always, first_byte_timeout=0.1) as model:
        first, _ = failure(model)
    with model_at(after_a_success(answer), first_byte_timeout=0.1) as model:
        list(model.stream(HELLO, Cancel()))
        later, _ = failure(model)
    assert _told(later) == _told(first)
    assert KEY not in str(later)


def _told(error: ModelError) -> tuple[object, ...]:
    return str(error), error.kind, error.status, error.retry_after, error.partial, error.shown


def test_a_later_call_that_was_cancelled_before_it_began_is_not_sent() -> None:
    with serving(after_a_success(_good)) as server:
        model = AnthropicModel(KEY, server.url)
        list(model.stream(HELLO, Cancel()))
        cancel = Cancel()
        cancel()
        error, _ = failure(model, cancel)
        model.close()
    assert error.kind == "cancelled"
    assert len(server.requests) == 1
