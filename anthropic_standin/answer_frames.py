"""Puts an answer into bytes: the events of a stream, or the one message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from anthropic_standin.answer import Answer, Piece
from anthropic_standin.prompt_cache import CacheUse
from anthropic_standin.refusal import Json, error_body

_WORDS = re.compile(r"\s*\S+\s*|\s+")
_INPUT_PIECE = 12  # characters of a tool's input in one delta
_STAMP_AT = len(b'"}}\n\n')  # bytes behind the text in a text delta's frame


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream in the portions in which it is written. Each delta brings along the frames before it."""

    opening: bytes
    deltas: tuple[bytes, ...]
    closing: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """The frame around an answer's content."""

    id: str
    model: str
    cache: CacheUse
    transformations: tuple[Json, ...] = ()


def message(answer: Answer, envelope: Envelope) -> Json:
    """The body of an answer that is not streamed."""
    content = [piece.block for piece in answer.pieces]
    return {
        **_head(envelope),
        "content": content,
        **_ending(answer),
        "usage": {**_usage(envelope), **_output_usage(answer)},
    }


def stream(answer: Answer, envelope: Envelope) -> Frames:
    head = {**_head(envelope), "usage": {**_usage(envelope), "output_tokens": 1}}
    opening = _frame("message_start", message=head) + _frame("ping")
    portions: list[bytes] = []
    pending = b""
    for index, piece in enumerate(answer.pieces):
        pending += _frame("content_block_start", index=index, content_block=_started(piece.block))
        for delta in _deltas(index, piece):
            portions.append(pending + delta)
            pending = _oddities(answer, index) if len(portions) == 1 else b""
        pending += _frame("content_block_stop", index=index)
    if "nostop" not in answer.quirks:
        usage = {**_usage(envelope), **_output_usage(answer)}
        pending += _frame("message_delta", delta=_ending(answer), usage=usage) + _frame("message_stop")
    return Frames(opening, tuple(portions), pending)


def error_frame(kind: str, request_id: str) -> bytes:
    words = {"overloaded_error": "Overloaded", "rate_limit_error": "Rate limited"}
    body = error_body(kind, words.get(kind, "Internal server error"), request_id)
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"


def stamped(portion: bytes, nanoseconds: int) -> bytes:
    """The portion with the time in its text; as it is, if it does not end in a text delta."""
    start = portion.rfind(b'{"type":"text_delta"')
    if start < 0 or portion.count(b"\n\n", start) != 1:
        return portion
    return b"%b t=%d%b" % (portion[:-_STAMP_AT], nanoseconds, portion[-_STAMP_AT:])


def _frame(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


@lru_cache(maxsize=4096)
def _delta(index: int, kind: str, field: str, part: str) -> bytes:
    return _frame("content_block_delta", index=index, delta={"type": kind, field: part})


def _deltas(index: int, piece: Piece) -> Iterator[bytes]:
    block = piece.block
    match block["type"]:
        case "text":
            for word in _WORDS.findall(block["text"]):
                yield _delta(index, "text_delta", "text", word)
        case "thinking":
            for word in _WORDS.findall(block["thinking"]):
                yield _delta(index, "thinking_delta", "thinking", word)
            yield _frame(
                "content_block_delta",
                index=index,
                delta={"type": "signature_delta", "signature": block["signature"]},
            )
        case "tool_use" | "server_tool_use":
            written = piece.cut_input or orjson.dumps(block["input"]).decode()
            yield _delta(index, "input_json_delta", "partial_json", "")
            for start in range(0, len(written), _INPUT_PIECE):
                part = written[start : start + _INPUT_PIECE]
                yield _delta(index, "input_json_delta", "partial_json", part)


def _started(block: Json) -> Json:
    """The block as its first event shows it: the parts that come in deltas are still missing."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}
        case "thinking":
            return {**block, "thinking": "", "signature": ""}
        case "tool_use" | "server_tool_use":
            return {**block, "input": {}}
        case _:
            return block


def _oddities(answer: Answer, index: int) -> bytes:
    odd = b""
    if "unknown" in answer.quirks:
        odd += _frame("weather_report", sky="clear")
        odd += _delta(index, "hum_delta", "hum", "mmm")
    if "malformed" in answer.quirks:
        odd += b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"ty\n\n'
    return odd


def _head(envelope: Envelope) -> Json:
    head: Json = {
        "id": envelope.id,
        "type": "message",
        "role": "assistant",
        "model": envelope.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
    }
    if envelope.transformations:
        head["input_transformations"] = list(envelope.transformations)
    return head


def _ending(answer: Answer) -> Json:
    refused = answer.stop_reason == "refusal"
    details = {"type": "refusal", "category": None, "explanation": "The stand-in was told to refuse."}
    return {
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": details if refused else None,
        "container": None,
    }


def _usage(envelope: Envelope) -> Json:
    cache = envelope.cache
    return {
        "input_tokens": cache.fresh,
        "cache_creation_input_tokens": cache.written,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {"ephemeral_5m_input_tokens": cache.written, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "service_tier": "standard",
        "inference_geo": "global",
        "speed": "standard",
    }


def _output_usage(answer: Answer) -> Json:
    """Bytes by four, as the input is counted."""
    sizes = [(piece.block["type"], len(orjson.dumps(piece.block))) for piece in answer.pieces]
    thought = sum(size for kind, size in sizes if kind in ("thinking", "redacted_thinking"))
    return {
        "output_tokens": max(1, sum(size for _, size in sizes) // 4),
        "output_tokens_details": {"thinking_tokens": thought // 4},
    }
