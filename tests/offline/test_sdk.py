"""The real SDK against the stand-in: its requests and its errors."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import anthropic
import httpx2
import pytest
from anthropic import Stream
from anthropic.types import Message, RawMessageStreamEvent

from anthropic_standin.standin_server import OfflineServer
from tests.offline.conversations import NEWEST, TOOL, Json, assistant, result, user


def body(*messages: Json, **fields: Any) -> Any:
    return {"model": NEWEST, "max_tokens": 1000, "tools": [TOOL], "messages": list(messages), **fields}


@contextmanager
def streaming(client: anthropic.Anthropic, text: str) -> Iterator[Stream[RawMessageStreamEvent]]:
    with client.messages.create(stream=True, **body(user(text))) as stream:
        yield cast(Stream[RawMessageStreamEvent], stream)


def final(client: anthropic.Anthropic, *messages: Json, **fields: Any) -> Message:
    with client.messages.stream(**body(*messages, **fields)) as stream:
        return stream.get_final_message()


def content(message: Message) -> list[Json]:
    return [block.to_dict() for block in message.content]


def deltas_of(stream: Stream[RawMessageStreamEvent], count: int) -> str:
    """The text of the next deltas."""
    said: list[str] = []
    for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            said.append(event.delta.text)
            if len(said) == count:
                break
    return "".join(said)


def test_a_text_arrives_in_deltas(client: anthropic.Anthropic) -> None:
    with streaming(client, "hello there") as stream:
        events = list(stream)
    assert [event.type for event in events[:2]] == ["message_start", "content_block_start"]
    assert [event.type for event in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert sum(event.type == "content_block_delta" for event in events) == 4


def test_a_long_text_arrives_whole_and_the_connection_serves_again(client: anthropic.Anthropic) -> None:
    for _ in range(2):
        request = body(user("[words 20000]"))
        with client.messages.with_streaming_response.create(stream=True, **request) as response:
            raw = response.read()
        assert raw.count(b'"type":"text_delta"') == 20_000
        assert raw.endswith(b'data: {"type":"message_stop"}\n\n')


def test_the_helper_reads_calls_and_thinking(client: anthropic.Anthropic, server: OfflineServer) -> None:
    question = user('[think hmm][say let me look][call look {"path": "a.txt"}][call look {}][then][say done]')
    first = final(client, question)
    assert first.stop_reason == "tool_use"
    assert [block["type"] for block in content(first)] == ["thinking", "text", "tool_use", "tool_use"]
    calls = [block for block in content(first) if block["type"] == "tool_use"]
    assert [call["input"] for call in calls] == [{"path": "a.txt"}, {}]
    answered = user(*[result(call["id"]) for call in calls])
    second = final(client, question, assistant(*content(first)), answered)
    assert (content(second)[0]["text"], second.stop_reason) == ("done", "end_turn")
    assert server.violations == []
    assert [len(seen["messages"]) for seen in server.requests] == [1, 3]


def test_the_first_piece_of_an_input_is_empty(client: anthropic.Anthropic) -> None:
    with streaming(client, '[call look {"path": "a/long/way/down.txt"}]') as stream:
        pieces = [
            event.delta.partial_json
            for event in stream
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta"
        ]
    assert pieces[0] == ""
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"path": "a/long/way/down.txt"}


def test_usage_tells_what_came_from_the_cache(client: anthropic.Anthropic) -> None:
    marked = [{"type": "text", "text": "long " * 1000, "cache_control": {"type": "ephemeral"}}]
    first = final(client, user("hi"), system=marked).usage
    assert first.cache_creation_input_tokens
    assert not first.cache_read_input_tokens
    second = final(client, user("hi"), assistant("ho"), user("he"), system=marked).usage
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert not second.cache_creation_input_tokens


def test_an_answer_need_not_be_streamed(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**body(user("[think][say a][call look]")))
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.usage.output_tokens > 0


def test_a_broken_transcript_is_refused_and_remembered(
    client: anthropic.Anthropic, server: OfflineServer
) -> None:
    with pytest.raises(anthropic.BadRequestError, match="must have non-empty content") as caught:
        final(client, user())
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    stats = server.stats()
    assert (stats.requests, stats.violations) == (1, 1)
    assert stats.last_violations == tuple(server.violations)
    assert server.violations[0].startswith("400 messages.0: all messages must have non-empty content")
    server.reset()
    assert (server.requests, server.violations) == ([], [])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
def test_a_status_is_answered_as_often_as_asked_for(
    client: anthropic.Anthropic, server: OfflineServer, status: int, error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        final(client, user(f"[fail {status} 1 retry-after 3][say ok]"))
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "3"
    assert content(final(client, user(f"[fail {status} 1 retry-after 3][say ok]")))[0]["text"] == "ok"
    assert server.violations == []


def test_the_sdk_retries_what_passes(client: anthropic.Anthropic) -> None:
    patient = client.with_options(max_retries=2)
    assert content(final(patient, user("[fail 529 1 retry-after 0.01][say ok]")))[0]["text"] == "ok"


def test_a_connection_is_closed_without_a_word(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIConnectionError):
        final(client, user("[hang-up 1]"))
    assert final(client, user("[hang-up 1]")).stop_reason == "end_turn"


def test_a_stream_is_cut(client: anthropic.Anthropic) -> None:
    with streaming(client, "[words 9][drop 5 times 1]") as stream:
        assert deltas_of(stream, 5) == "please look into this and "
        with pytest.raises(httpx2.RemoteProtocolError, match="peer closed connection"):
            next(stream)
    with streaming(client, "[words 9][drop 5 times 1]") as stream:
        assert deltas_of(stream, 10).count(" ") == 8


def test_a_stream_falls_silent_until_the_client_leaves(
    client: anthropic.Anthropic, server: OfflineServer
) -> None:
    with streaming(client, "[words 9][stall 2]") as stream:
        assert deltas_of(stream, 2) == "please look "
        assert server.stats().open_streams == 1
    assert server.wait_until(lambda stats: stats.open_streams == 0)


def test_a_paced_stream_ends_when_the_client_leaves(
    client: anthropic.Anthropic, server: OfflineServer
) -> None:
    with streaming(client, "[words 100000][pace 100]") as stream:
        deltas_of(stream, 3)
    assert server.wait_until(lambda stats: stats.open_streams == 0)


def test_a_held_stream_goes_on_when_it_is_released(
    client: anthropic.Anthropic, server: OfflineServer
) -> None:
    with streaming(client, "[words 4][hold 2]") as stream:
        assert deltas_of(stream, 2) == "please look "
        released = httpx2.post(f"{server.url}/release").json()
        assert released == {"released": 1}
        assert deltas_of(stream, 9) == "into this"
    with streaming(client, "[words 4][hold 0]") as stream:
        assert server.wait_until(lambda stats: stats.open_streams == 1)
        server.release()
        assert deltas_of(stream, 9) == "please look into this"


def test_an_error_arrives_in_mid_stream(client: anthropic.Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        streaming(client, "[words 9][error overloaded_error 5]") as stream,
    ):
        assert len(deltas_of(stream, 9).split()) == 5
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


def test_a_stream_ends_without_saying_so(client: anthropic.Anthropic) -> None:
    message = final(client, user("[say half][nostop]"))
    assert (content(message)[0]["text"], message.stop_reason) == ("half", None)


def test_a_frame_is_malformed(client: anthropic.Anthropic) -> None:
    with pytest.raises(ValueError, match="Unterminated string"), streaming(client, "[malformed]") as stream:
        list(stream)


def test_unknown_events_arrive(client: anthropic.Anthropic) -> None:
    request = body(user("[unknown][say still here]"))
    with client.messages.with_streaming_response.create(stream=True, **request) as response:
        raw = response.read()
    assert b'{"type":"weather_report","sky":"clear"}' in raw
    assert b'"delta":{"type":"hum_delta","hum":"mmm"}' in raw
    assert raw.index(b"event: ping") < raw.index(b"event: content_block_start")


def test_an_input_is_cut(client: anthropic.Anthropic) -> None:
    for word, reason in (("truncate", "max_tokens"), ("truncate-as-tool_use", "tool_use")):
        with streaming(client, f'[call look {{"path": "a.txt"}}][{word}]') as stream:
            events = list(stream)
        pieces = [
            event.delta.partial_json
            for event in events
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta"
        ]
        assert "".join(pieces) == '{"path":"a'
        ends = [event.delta.stop_reason for event in events if event.type == "message_delta"]
        assert ends == [reason]


def test_a_refusal_says_so(client: anthropic.Anthropic) -> None:
    message = final(client, user("[refuse]"))
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.content == []


def test_a_stamp_is_the_clock_at_the_moment_of_writing(client: anthropic.Anthropic) -> None:
    began = time.monotonic_ns()
    text = cast(str, content(final(client, user("[words 5][pace 200][stamp]")))[0]["text"])
    stamps = [int(digits) for digits in re.findall(r" t=(\d+)", text)]
    assert len(stamps) == 5
    moments = [began, *stamps, time.monotonic_ns()]
    assert moments == sorted(moments)


def test_what_was_dropped_is_listed(client: anthropic.Anthropic) -> None:
    question = user("[think][say a]")
    answer = assistant(*content(final(client, question, system="one")))
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    message = final(
        client,
        *(question, answer, user("go on")),
        system="two",
        thinking=thinking,
        extra_headers={"anthropic-beta": "thinking-binding-controls-2026-08-01"},
    )
    assert message.to_dict()["input_transformations"] == [
        {"type": "thinking_dropped", "path": "messages.1.content.0", "reason": "prefix_binding_mismatch"}
    ]


def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model=NEWEST, messages=[{"role": "user", "content": "x" * 4000}])
    assert 1000 <= counted.input_tokens < 1100


def test_a_model_describes_itself(client: anthropic.Anthropic) -> None:
    model = client.models.retrieve("claude-opus-4-5")
    assert (model.max_input_tokens, model.max_tokens, model.lifecycle) == (200_000, 64_000, "active")
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert not model.capabilities.thinking.types.adaptive.supported
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nobody")
