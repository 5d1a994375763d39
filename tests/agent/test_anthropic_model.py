"""The model's adapter: requests out, deltas and a turn back, and every failure in our own words."""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import anthropic
import httpx2
import orjson
import pytest

from app.agent.anthropic.anthropic_model import KINDS, AnthropicModel, classify, request_body
from app.agent.model_client import (
    CallDelta,
    FailureKind,
    ModelClient,
    ModelError,
    ModelEvent,
    ModelRequest,
    Show,
    TextDelta,
    ThinkingDelta,
    Turn,
)
from app.agent.retry_after import retry_after
from app.conversation.blocks import text_block
from tests.agent.socket_server import PATIENCE, Peer, serving, sse

KEY = "sk-ant-secret"
HELLO = ModelRequest("claude-x", b"", b"", [b'{"role":"user","content":"Hi"}'], 100)

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-x",
        "content": [],
        "usage": {"input_tokens": 4, "output_tokens": 1},
    },
}
TEXT = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
]
CALL = [
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look"},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
]
STOP = {"type": "message_stop"}


def end(reason: str | None = "end_turn") -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 6}}


class Cancel:
    """A Cancellation that the test pulls."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def __call__(self) -> None:
        with self._lock:
            self._set.set()
            for callback in self._callbacks:
                callback()

    def is_set(self) -> bool:
        return self._set.is_set()

    def wait(self, timeout: float) -> bool:
        return self._set.wait(timeout)

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._callbacks.append(callback)
            if self.is_set():
                callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def model_at(script: Callable[[Peer], None], **settings: Any) -> Iterator[AnthropicModel]:
    with serving(script) as server:
        model = AnthropicModel(KEY, server.url, **settings)
        try:
            yield model
        finally:
            model.close()


def saying(*pieces: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.stream(*pieces)

    return script


def ignore(_delta: object) -> None:
    pass


def failure(
    model: ModelClient, cancel: Cancel | None = None, *, show: Show | None = None
) -> tuple[ModelError, list[ModelEvent]]:
    seen: list[ModelEvent] = []
    with pytest.raises(ModelError) as raised:
        seen.extend(model.stream(replace(HELLO, show=show), cancel or Cancel()))
    return raised.value, seen


@pytest.mark.parametrize("show", [None, ignore])
@pytest.mark.parametrize(
    ("bytes_of_text", "text"),
    [
        (rb"a\ud83db", "a\ufffdb"),
        (rb"\ude00\ud83d\ude00", "\ufffd\U0001f600"),
        (b"a\xed\xa0\xbdb", "a\ufffdb"),  # as three bytes
        (b"a\xffb", "a\ufffdb"),
    ],
)
def test_what_is_no_character_costs_a_character_and_not_the_answer(
    bytes_of_text: bytes, text: str, show: Show | None
) -> None:
    whole = sse(START, *TEXT, end(), STOP).replace(b"Hello", bytes_of_text)
    with model_at(saying(*(whole[at : at + 9] for at in range(0, len(whole), 9)))) as model:
        *_, turn = model.stream(replace(HELLO, show=show), Cancel())
    assert isinstance(turn, Turn)
    assert turn.content == (text_block(text),)


# What is sent


def test_the_body_is_joined_from_ready_pieces() -> None:
    request = ModelRequest(
        model='claude-"x"',
        system=b'[{"type":"text","text":"Be brief."}]',
        tools=b'[{"name":"look"}]',
        messages=[b'{"role":"user","content":"1"}', b'{"role":"assistant","content":"2"}'],
        max_tokens=7,
        options={"thinking": {"type": "adaptive"}, "tool_choice": {"type": "none"}},
    )
    assert orjson.loads(request_body(request)) == {
        "model": 'claude-"x"',
        "max_tokens": 7,
        "stream": True,
        "thinking": {"type": "adaptive"},
        "tool_choice": {"type": "none"},
        "tools": [{"name": "look"}],
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}],
    }
    assert orjson.loads(request_body(HELLO)).keys() == {"model", "max_tokens", "stream", "messages"}


def test_a_request_carries_key_version_and_betas_and_goes_where_it_should() -> None:
    script = saying(sse(START, end(), STOP))
    with serving(script) as here, serving(script) as there:
        model = AnthropicModel(KEY, here.url)
        list(model.stream(HELLO, Cancel()))
        for _ in range(2):
            elsewhere = replace(HELLO, base_url=f"{there.url}/relay", betas=("a-1", "b-2"))
            list(model.stream(elsewhere, Cancel()))
        model.close()
        (first,), second = here.requests, there.requests[0]
        assert (first.line, second.line) == (
            "POST /v1/messages HTTP/1.1",
            "POST /relay/v1/messages?beta=true HTTP/1.1",
        )
        assert first.body == request_body(HELLO)
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert first.headers["content-type"] == "application/json"
        assert "anthropic-version" in first.headers
        assert "anthropic-beta" not in first.headers
        assert second.headers["anthropic-beta"] == "a-1,b-2"
        assert there.connections == 1


# What comes back


def test_deltas_come_first_and_the_turn_last() -> None:
    thinking = [
        {"type": "content_block_start", "index": 2, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
    ]
    pieces = [sse(one) for one in (START, {"type": "ping"}, *TEXT, *CALL, *thinking, end("tool_use"), STOP)]
    with model_at(saying(*pieces)) as model:
        *deltas, turn = model.stream(HELLO, Cancel())
    assert deltas == [
        TextDelta("Hello"),
        CallDelta("toolu_1", "look", ""),
        CallDelta("toolu_1", "look", "{}"),
        ThinkingDelta("Hm"),
    ]
    assert isinstance(turn, Turn)
    assert (turn.stop_reason, turn.model) == ("tool_use", "claude-x")
    assert [block["type"] for block in turn.content] == ["text", "tool_use"]


def test_the_stream_reads_alike_however_it_is_cut_and_with_any_line_ends() -> None:
    text = sse(START, *TEXT, end(), STOP)
    for whole in (text, text.replace(b"\n", b"\r\n")):
        with model_at(saying(*(whole[at : at + 7] for at in range(0, len(whole), 7)))) as model:
            first, turn = model.stream(HELLO, Cancel())
        assert first == TextDelta("Hello")
        assert isinstance(turn, Turn)


def test_calls_one_after_the_other_share_a_connection() -> None:
    with serving(saying(sse(START, *TEXT, end(), STOP))) as server:
        model = AnthropicModel(KEY, server.url)
        for _ in range(3):
            assert len(list(model.stream(HELLO, Cancel()))) == 2
        model.close()
        assert server.connections == 1


def test_a_compressed_stream_is_unpacked() -> None:
    compressor = zlib.compressobj()
    text = compressor.compress(sse(START, *TEXT, end(), STOP)) + compressor.flush()

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(text, "content-type: text/event-stream", "content-encoding: deflate")

    with model_at(script) as model:
        assert next(model.stream(HELLO, Cancel())) == TextDelta("Hello")


def test_a_reader_that_stops_in_the_middle_ends_the_connection() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(sse(START, *TEXT))
        peer.until_gone()

    with serving(script) as server:
        model = AnthropicModel(KEY, server.url)
        events = model.stream(HELLO, Cancel())
        assert next(events) == TextDelta("Hello")
        del events
        server.wait_until_gone()
        model.close()


# Text that is shown without its reader


def texts(*words: str) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in words
    ]


Heard = list[tuple[ModelEvent, str]]
"""Everything in the order in which it came, and the thread that brought it."""


def hear(model: AnthropicModel, cancel: Cancel | None = None) -> Heard:
    heard: Heard = []

    def note(event: ModelEvent) -> None:
        heard.append((event, threading.current_thread().name))

    for event in model.stream(replace(HELLO, show=note), cancel or Cancel()):
        note(event)
    return heard


def test_text_behind_the_first_piece_wakes_nobody_until_something_else_comes() -> None:
    opened, first, closed = TEXT
    last = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " last"}}

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(sse(START, opened, first))
        for piece in texts(" there", " you"):
            peer.chunk(sse(piece))
        peer.chunk(sse({"type": "ping"}))
        peer.chunk(sse(last, closed, *CALL))
        peer.chunk(sse(end("tool_use"), STOP))
        peer.chunk(b"")

    with model_at(script) as model:
        heard = hear(model)
    assert [event for event, _ in heard[:-1] if isinstance(event, TextDelta)] == [
        TextDelta(word) for word in ("Hello", " there", " you", " last")
    ]
    mine = threading.current_thread().name
    assert heard[0] == (TextDelta("Hello"), mine)
    assert {who for event, who in heard if not isinstance(event, TextDelta)} == {mine}
    turn = heard[-1][0]
    assert isinstance(turn, Turn)
    assert turn.content[0] == text_block("Hello there you last")


def test_text_is_shown_on_the_thread_that_reads_for_all_as_it_arrives() -> None:
    """The peer goes on only when the piece before was shown."""
    steps = [threading.Event() for _ in range(4)]
    shown: list[str] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.stream_head()
        peer.chunk(sse(START, *TEXT[:2]))
        for step, piece in zip(steps, texts("1", "2", "3"), strict=False):
            assert step.wait(PATIENCE)
            peer.chunk(sse(piece))
        assert steps[3].wait(PATIENCE)
        peer.chunk(sse(TEXT[2], end(), STOP))
        peer.chunk(b"")

    def show(delta: TextDelta | ThinkingDelta) -> None:
        shown.append(threading.current_thread().name)
        steps[int(delta.text)].set()

    with model_at(script) as model:
        events = model.stream(replace(HELLO, show=show), Cancel())
        assert next(events) == TextDelta("Hello")
        steps[0].set()
        (turn,) = events
    assert shown == ["model-reader"] * 3
    assert isinstance(turn, Turn)
    assert turn.content == (text_block("Hello123"),)


def test_what_is_shown_is_the_same_however_the_stream_is_cut() -> None:
    thinking = [
        {"type": "content_block_start", "index": 2, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": ", é"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 2},
    ]
    middle = [*TEXT[:2], *texts("\u2028", "x" * 300, "", "end"), TEXT[2], *CALL, *thinking]
    whole = sse(START, *middle, end("tool_use"), STOP)
    chosen = random.Random(5)
    cuts = [sorted(chosen.sample(range(1, len(whole)), chosen.randint(1, 40))) for _ in range(60)]
    pieces = [[whole[a:b] for a, b in pairwise([0, *at, len(whole)])] for at in cuts]
    with model_at(saying(whole)) as model:
        expected = list(model.stream(HELLO, Cancel()))
    left = iter(pieces)

    def script(peer: Peer) -> None:
        while peer.request():
            peer.stream(*next(left))

    with model_at(script) as model:
        for _ in pieces:
            assert [event for event, _ in hear(model)] == expected


def test_readers_at_the_same_time_are_shown_their_own_text() -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            who = request.body.partition(b'"model":"')[2].partition(b'"')[0].decode()
            peer.stream(
                *(sse(one) for one in (START, *TEXT[:2], *texts(*[f"{who};"] * 50), TEXT[2], end(), STOP))
            )

    def read(who: int) -> str:
        said: list[str] = []
        request = replace(HELLO, model=f"m{who}", show=lambda delta: said.append(delta.text))
        for event in model.stream(request, Cancel()):
            if isinstance(event, TextDelta):
                said.append(event.text)
        return "".join(said)

    with model_at(script) as model, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, range(64))) == ["Hello" + f"m{who};" * 50 for who in range(64)]


def test_what_can_not_be_shown_fails_its_own_reader_and_nobody_else() -> None:
    def broken(_delta: object) -> None:
        raise RuntimeError("no room")

    pieces = [sse(one) for one in (START, *TEXT[:2], *texts("a", "b"), TEXT[2], end(), STOP)]

    def script(peer: Peer) -> None:
        while peer.request():
            peer.stream_head()
            for piece in pieces[:3]:
                peer.chunk(piece)
            assert begun_reading.wait(PATIENCE)
            for piece in pieces[3:]:
                peer.chunk(piece)
            peer.chunk(b"")

    begun_reading = threading.Event()
    with model_at(script) as model:
        events = model.stream(replace(HELLO, show=broken), Cancel())
        assert next(events) == TextDelta("Hello")
        begun_reading.set()
        with pytest.raises(RuntimeError, match="no room"):
            next(events)
        assert isinstance(hear(model)[-1][0], Turn)


# Streams that break off


def begun(then: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        if peer.request():
            peer.stream_head()
            peer.chunk(sse(START, *TEXT[:2]))
            then(peer)

    return script


def chunks(*events: dict[str, Any], raw: bytes = b"") -> Callable[[Peer], None]:
    def then(peer: Peer) -> None:
        peer.chunk(raw or sse(*events))
        peer.chunk(b"")
        peer.until_gone()

    return then


@pytest.mark.parametrize(
    "then",
    [
        lambda peer: None,
        lambda peer: peer.reset(),
        lambda peer: peer.until_gone(),
        chunks(end()),
        chunks(end(None), STOP),
        chunks(raw=b"data: {nonsense}\n\n"),
        chunks(raw=b"data: [DONE]\n\n"),
        chunks({"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "x"}}),
        chunks({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ],
    ids=["closed", "reset", "silent", "no stop", "no reason", "no JSON", "done", "no sense", "overloaded"],
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["read here", "read elsewhere"])
def test_a_stream_that_breaks_off_can_be_tried_again_and_leaves_what_was_said(
    then: Callable[[Peer], None], elsewhere: bool, request: pytest.FixtureRequest
) -> None:
    is_silent = "silent" in request.node.callspec.id
    with model_at(begun(then), stall_timeout=1.0 if is_silent else PATIENCE) as model:
        error, seen = failure(model, show=ignore if elsewhere else None)
    assert error.kind == "retryable"
    assert error.partial is not None
    assert error.partial.content == (text_block("Hello"),)
    assert error.partial.stop_reason == ""
    assert error.shown
    assert seen == [TextDelta("Hello")]


@pytest.mark.parametrize(
    ("error_type", "message", "kind", "status"),
    [
        ("rate_limit_error", "Slow down", "rate_limited", 429),
        ("overloaded_error", "Overloaded", "retryable", 529),
        ("api_error", "Internal server error", "retryable", None),
        ("timeout_error", "Too slow", "retryable", None),
        ("invalid_request_error", "messages: no", "final", None),
        ("invalid_request_error", "prompt is too long: 5 > 4", "overflow", None),
        ("authentication_error", "Who are you?", "final", None),
        ("brand_new_error", "?", "final", None),
    ],
)
def test_an_error_in_the_stream_is_told_by_its_type(
    error_type: str, message: str, kind: str, status: int | None
) -> None:
    event = {"type": "error", "error": {"type": error_type, "message": message}}
    with model_at(saying(sse(START, event))) as model:
        error, _ = failure(model)
    assert (error.kind, error.status, error.partial, error.shown) == (kind, status, None, False)
    assert f"{error_type}: {message}" in str(error)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_redirect_takes_the_key_to_no_other_host(status: str) -> None:
    with serving(saying(b"")) as elsewhere:

        def script(peer: Peer) -> None:
            while peer.request():
                peer.answer(b"", f"location: {elsewhere.url}/v1/messages", status=status)

        with model_at(script) as model:
            error, _ = failure(model)
        assert (error.kind, error.status) == ("final", int(status[:3]))
        assert elsewhere.connections == 0


def test_an_answer_that_is_no_stream_can_be_tried_again() -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.answer(b"<html>Please log in</html>", "content-type: text/html")

    with model_at(script) as model:
        error, _ = failure(model)
    assert (error.kind, error.partial) == ("retryable", None)
    assert "text/html" in str(error)


# Requests that are refused


def refusing(
    status: int, *headers: str, error_type: str = "some_error", message: str = "No."
) -> Callable[[Peer], None]:
    body = orjson.dumps({"type": "error", "error": {"type": error_type, "message": message}})

    def script(peer: Peer) -> None:
        while peer.request():
            peer.answer(body, "content-type: application/json", *headers, status=f"{status} X")

    return script


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "final") for status in (400, 401, 402, 403, 404, 412, 418, 422, 431, 499)),
        *((status, "retryable") for status in (408, 409, 500, 501, 502, 503, 504, 529)),
        (413, "overflow"),
        (429, "rate_limited"),
    ],
)
def test_a_refusal_is_told_by_its_status(status: int, kind: str) -> None:
    with model_at(refusing(status, "request-id: req_1")) as model:
        error, _ = failure(model)
    assert (error.kind, error.status, error.partial, error.shown) == (kind, status, None, False)
    assert str(error) == f"The model's API answered {status} some_error: No. (request req_1)"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", "overflow"),
        ("input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000", "overflow"),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", "thinking_mismatch"),
        ("messages.1: `tool_use` ids were found without `tool_result` blocks", "final"),
        (
            "messages.0.content.2.image.source.base64: image exceeds 5 MB maximum: 6 bytes > 5 bytes",
            "picture_refused",
        ),
        (
            (
                "messages.4.content.0.tool_result.content.1.image.source.base64.data: At least one of the image "
                "dimensions exceed max allowed size for many-image requests: 2000 pixels"
            ),
            "picture_refused",
        ),
        ("Could not process image", "picture_refused"),
        ("messages.2.content.0.pdf.source.base64.data: The PDF specified was not valid.", "picture_refused"),
        ("A maximum of 100 PDF pages may be provided.", "picture_refused"),
        ("messages: Too much media: 0 document pages + 101 images > 100", "picture_refused"),
        ("Unable to download the file. Please verify the URL and try again.", "picture_refused"),
        ("tools.3.custom.name: 'image' is taken", "final"),
    ],
)
def test_what_a_bad_request_means_is_told_by_the_few_words_that_matter(message: str, kind: str) -> None:
    with model_at(refusing(400, error_type="invalid_request_error", message=message)) as model:
        error, _ = failure(model)
    assert error.kind == kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("status", "says", "kind"),
    [
        (400, "true", "retryable"),
        (529, "false", "final"),
        (429, "false", "final"),
        (413, "false", "overflow"),
    ],
)
def test_the_server_may_say_itself_whether_trying_again_makes_sense(
    status: int, says: str, kind: str
) -> None:
    with model_at(refusing(status, f"x-should-retry: {says}")) as model:
        assert failure(model)[0].kind == kind


def test_a_refusal_that_is_not_json_is_told_all_the_same() -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.answer(b"<h1>Request Entity Too Large</h1>", status="413 X")

    with model_at(script) as model:
        error, _ = failure(model)
    assert (error.kind, error.status) == ("overflow", 413)
    assert "Entity Too Large" in str(error)


def test_the_key_is_never_told() -> None:
    with model_at(refusing(401, message=f"{KEY} is no key")) as model:
        error, _ = failure(model)
    assert "is no key" in str(error)
    assert KEY not in str(error)


def test_one_attempt_is_one_request() -> None:
    with serving(refusing(529, "retry-after-ms: 1500")) as server:
        model = AnthropicModel(KEY, server.url)
        assert failure(model)[0].retry_after == 1.5
        model.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_a_wish_to_be_left_alone_is_read_in_every_spelling(
    headers: dict[str, str], seconds: float | None
) -> None:
    noon = 1_795_262_400.0  # 2026-11-21 12:00 UTC
    assert retry_after(headers, noon) == seconds


def test_an_endpoint_that_is_not_there_can_be_tried_again() -> None:
    with serving(lambda peer: None) as server:
        pass
    model = AnthropicModel(KEY, server.url)
    error, _ = failure(model)
    model.close()
    assert (error.kind, error.status) == ("retryable", None)
    assert "can't be reached: no connection with 127.0.0.1" in str(error)


def test_an_endpoint_that_does_not_answer_in_time_can_be_tried_again() -> None:
    with model_at(lambda peer: peer.until_gone(), first_byte_timeout=0.05) as model:
        error, _ = failure(model)
    assert error.kind == "retryable"
    assert "nothing came for 0.05 seconds" in str(error)


def test_an_address_that_is_none_is_not_tried_again() -> None:
    model = AnthropicModel(KEY, "gopher://127.0.0.1")
    error, _ = failure(model)
    model.close()
    assert error.kind == "final"
    assert "gopher" in str(error)


@pytest.mark.parametrize("key", ["sk-ant-1\n", "sk-ant-ü"])
def test_a_key_that_can_not_be_sent_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="no key has"):
        AnthropicModel(key)


def test_every_error_of_the_sdk_is_classified() -> None:
    request = httpx2.Request("POST", "http://model.example")
    bases = {anthropic.AnthropicError, anthropic.APIError, anthropic.APIStatusError}
    errors = [one for one in vars(anthropic).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(errors) > 20
    for error in set(errors) - bases:
        assert any(one in KINDS for one in error.__mro__), f"what shall be done about {error.__name__}?"
        if issubclass(error, anthropic.APIStatusError):
            response = httpx2.Response(400, request=request)
            assert classify(error("", response=response, body=None)) in get_args(FailureKind)


@pytest.mark.parametrize(
    "error", [anthropic.EnforcedSpendLimitReachedError, anthropic.ContractSpendLimitReachedError]
)
def test_waiting_does_not_help_against_a_spend_limit(error: type[anthropic.APIStatusError]) -> None:
    response = httpx2.Response(429, request=httpx2.Request("POST", "http://model.example"))
    assert classify(error("", response=response, body=None)) == "final"


# Being cancelled


def test_a_call_that_was_cancelled_before_it_began_is_not_sent() -> None:
    cancel = Cancel()
    cancel()
    with serving(saying(b"")) as server:
        model = AnthropicModel(KEY, server.url)
        error, _ = failure(model, cancel)
        model.close()
        assert (error.kind, error.partial, error.shown) == ("cancelled", None, False)
        assert server.requests == []


@pytest.mark.parametrize("headers_first", [False, True])
def test_a_call_is_cancelled_while_it_waits_for_the_first_event(headers_first: bool) -> None:
    cancel = Cancel()

    def script(peer: Peer) -> None:
        peer.request()
        if headers_first:
            peer.stream_head()
        cancel()
        peer.until_gone()

    with serving(script) as server:
        model = AnthropicModel(KEY, server.url)
        error, _ = failure(model, cancel)
        assert (error.kind, error.partial, error.shown) == ("cancelled", None, False)
        server.wait_until_gone()
        model.close()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["read here", "read elsewhere"])
def test_a_call_is_cancelled_in_mid_stream_and_leaves_what_was_said(elsewhere: bool) -> None:
    cancel, silent = Cancel(), threading.Event()

    def then(peer: Peer) -> None:
        assert silent.wait(PATIENCE)
        cancel()
        peer.until_gone()

    with model_at(begun(then)) as model:
        events = model.stream(replace(HELLO, show=ignore if elsewhere else None), cancel)
        assert next(events) == TextDelta("Hello")
        silent.set()
        with pytest.raises(ModelError) as raised:
            next(events)
    assert raised.value.kind == "cancelled"
    assert raised.value.shown
    assert raised.value.partial is not None
    assert raised.value.partial.content == (text_block("Hello"),)


def test_a_cancel_between_two_deltas_that_came_together_is_noticed_before_the_second() -> None:
    cancel = Cancel()
    with model_at(begun(chunks(*CALL, end("tool_use"), STOP))) as model:
        events = model.stream(HELLO, cancel)
        assert next(events) == TextDelta("Hello")
        cancel()
        with pytest.raises(ModelError) as raised:
            next(events)
    assert raised.value.kind == "cancelled"


def test_a_cancel_after_the_turn_changes_nothing() -> None:
    cancel = Cancel()
    with serving(saying(sse(START, *TEXT, end(), STOP))) as server:
        model = AnthropicModel(KEY, server.url)
        events = list(model.stream(HELLO, cancel))
        cancel()
        assert isinstance(events[-1], Turn)
        assert len(list(model.stream(HELLO, Cancel()))) == 2
        assert server.connections == 1
        model.close()
