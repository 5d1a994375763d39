"""Folds the events of one streamed answer into a turn; pure.

Works on the API's own JSON, because a block of a type that nobody knows must go back as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from app.agent.anthropic.sse_decoder import MalformedStream
from app.agent.model_client import CallDelta, TextDelta, ThinkingDelta, Turn
from app.conversation.blocks import Block, is_blank, is_deep, is_signed, is_thinking, with_usable_name
from app.conversation.json_text import loads, mended, whole
from app.conversation.usage import Usage

Delta = TextDelta | ThinkingDelta | CallDelta

CUT_BY_LIMIT: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
CHARACTERS_PER_TOKEN: Final = 4
SERVED_CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})  # their results come in the same turn


class StreamFailed(Exception):
    """The API said in mid-stream that it gives up; `error` is its error object."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.error = error


class TurnAccumulator:
    """Takes the events one by one, in order. Belongs to the thread that reads the stream."""

    def __init__(self) -> None:
        self.finished = False  # the whole turn is here, its stop reason included
        self._blocks: dict[int, _OpenBlock] = {}  # by the stream's index, in order of arrival
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._end: dict[str, Any] = {}

    def add(self, event: Any) -> Delta | None:
        """The part of the event that is worth showing. Events and deltas that nobody knows change nothing.

        Raises StreamFailed for an `error` event, MalformedStream for one that does not have its shape.
        """
        try:
            kind = event["type"]
            if kind == "content_block_delta":
                return self._blocks[event["index"]].add(event["delta"])
            handle = _HANDLERS.get(kind)
            return handle(self, event) if handle else None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise MalformedStream(f"an event that makes no sense here: {error!r}") from error

    def turn(self) -> Turn:
        """The whole turn, once `finished`. Blocks that the API would not take back are left out: also thinking that is
        not as it was signed, and what was thought behind it."""
        blocks, gap = [], False
        for opened in self._blocks.values():
            gap = gap or opened.is_falsified
            if _is_sendable(opened.block) and not (gap and is_thinking(opened.block)):
                blocks.append(opened)
        return self._made_of(blocks, self._end["stop_reason"])

    def partial(self) -> Turn | None:
        """The part of a cut turn that may be kept; None if that is nothing.

        Finished blocks in their order, then what is there of an unfinished text. Never a call that is not
        whole, a server's call without its result, or thinking that is unsigned, stands last, or was signed
        over something that is left out. Its usage is that of the whole cut turn, as `used` tells it.
        """
        kept = list(self._kept())
        while kept and is_thinking(kept[-1].block):
            kept.pop()
        return replace(self._made_of(kept, ""), usage=self.used()) if kept else None

    def used(self) -> Usage | None:
        """The tokens that the call has used so far; None before the API has said what it read. The API counts what
        it wrote at the end of a turn, so that of a cut one is estimated from the characters that came."""
        if not self._usage:
            return None
        usage = _usage(self._usage)
        written = sum(opened.characters for opened in self._blocks.values()) // CHARACTERS_PER_TOKEN
        return replace(usage, output_tokens=max(usage.output_tokens, written))

    def _kept(self) -> Iterator[_OpenBlock]:
        opened = list(self._blocks.values())
        served = {one.block.get("tool_use_id") for one in opened if one.closed}
        gap = False
        for one in opened:
            block = one.so_far()
            cut = not one.closed and (block["type"] != "text" or one is not opened[-1])
            unserved = block["type"] in SERVED_CALLS and block.get("id") not in served
            if cut or unserved or one.is_falsified:
                gap = True
            elif _is_sendable(block) and not (gap and is_thinking(block)):
                yield one

    def _made_of(self, opened: list[_OpenBlock], stop_reason: str) -> Turn:
        broken = {str(one.block["id"]) for one in opened if one.broken and one.block["type"] == "tool_use"}
        if stop_reason in CUT_BY_LIMIT and opened and opened[-1].block["type"] == "tool_use":
            # Without a whole input it can still read as JSON: the API sends complete keys, one at a time.
            broken.add(str(opened[-1].block["id"]))
        return Turn(
            content=tuple(one.so_far() for one in opened),
            stop_reason=stop_reason,
            usage=_usage(self._usage) if self._usage else None,
            model=str(self._message.get("model") or ""),
            stop_details=self._end.get("stop_details"),
            broken_calls=frozenset(broken),
        )

    def _message_start(self, event: dict[str, Any]) -> None:
        self._message = dict(event["message"])
        self._merge_usage(self._message.get("usage"))

    def _block_start(self, event: dict[str, Any]) -> Delta | None:
        block = mended(dict(event["content_block"]))
        if not all(isinstance(block.get(key), str | None) for key in ("type", "id", "name", "tool_use_id")):
            raise TypeError("a block whose names are no texts")
        opened = _OpenBlock(with_usable_name(block) if block["type"] == "tool_use" else block)
        delta = opened.first_delta()
        self._blocks[event["index"]] = opened
        return delta

    def _block_stop(self, event: dict[str, Any]) -> None:
        self._blocks[event["index"]].close()

    def _message_delta(self, event: dict[str, Any]) -> None:
        self._end.update({key: mended(value) for key, value in event["delta"].items() if value is not None})
        self._merge_usage(event.get("usage"))

    def _message_stop(self, _event: dict[str, Any]) -> None:
        for opened in self._blocks.values():
            opened.close()
        self.finished = bool(self._end.get("stop_reason"))

    def _error(self, event: dict[str, Any]) -> None:
        raise StreamFailed(dict(event["error"]))

    def _merge_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Later figures stand for the whole message: they replace, they don't add."""
        self._usage.update({key: value for key, value in (usage or {}).items() if value is not None})


_HANDLERS: Final[Mapping[str, Callable[[TurnAccumulator, dict[str, Any]], Delta | None]]] = {
    "message_start": TurnAccumulator._message_start,
    "content_block_start": TurnAccumulator._block_start,
    "content_block_stop": TurnAccumulator._block_stop,
    "message_delta": TurnAccumulator._message_delta,
    "message_stop": TurnAccumulator._message_stop,
    "error": TurnAccumulator._error,
}


class _OpenBlock:
    """A block while it is being streamed. Pieces are joined when it closes, not one by one."""

    __slots__ = ("_half", "_inputs", "_pieces", "block", "broken", "closed", "is_mended")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.closed = False
        self.broken = False
        self._pieces: list[str] = []  # of its text or its thinking
        self._inputs: list[str] = []  # of its input's JSON
        self._half = ""  # of a surrogate pair: the other half may come with the next piece
        self.is_mended = False  # a character of it was replaced

    @property
    def is_falsified(self) -> bool:
        """Its signature does not fit it any more."""
        return self.is_mended and is_thinking(self.block)

    def first_delta(self) -> Delta | None:
        match self.block["type"]:
            case "tool_use":
                # The loop finds an id for a call without one; nobody finds a name.
                return CallDelta(self.block.setdefault("id", ""), self.block["name"], "", begins=True)
            case "text" if text := self.block.get("text"):
                return TextDelta(text)
            case "thinking" if text := self.block.get("thinking"):
                return ThinkingDelta(text)
        return None

    def add(self, delta: dict[str, Any]) -> Delta | None:
        match delta["type"]:
            case "text_delta":
                self._pieces.append(text := self._piece(delta["text"]))
                return TextDelta(text) if text else None
            case "thinking_delta":
                self._pieces.append(text := self._piece(delta["thinking"]))
                return ThinkingDelta(text) if text else None
            case "input_json_delta":
                self._inputs.append(text := self._piece(delta["partial_json"]))
                shown = text and self.block["type"] == "tool_use"
                return CallDelta(self.block["id"], self.block["name"], text) if shown else None
            case "signature_delta":
                self.block["signature"] = mended(delta["signature"])
            case "citations_delta":
                self.block["citations"] = [*(self.block.get("citations") or ()), mended(delta["citation"])]
            case "compaction_delta":
                self.block.update({key: mended(value) for key, value in delta.items() if key != "type"})
        return None

    def _piece(self, value: Any) -> str:
        """The text of a delta; half of a pair at its end waits for the next one."""
        if not isinstance(value, str):
            raise TypeError("a delta without text")
        if value.isascii() and not self._half:
            return value
        value, self._half = self._half + value, ""
        if "\ud800" <= value[-1:] <= "\udbff":
            value, self._half = value[:-1], value[-1]
        text = whole(value)
        # A pair is two characters before and one after; a half that is replaced stays one.
        self.is_mended = self.is_mended or text.count("\ufffd") > value.count("\ufffd")
        return text

    def so_far(self) -> Block:
        """The block with all its text; its input is only there once it is closed."""
        if not self._pieces:
            return self.block
        key = "thinking" if self.block["type"] == "thinking" else "text"
        return {**self.block, key: str(self.block.get(key) or "") + "".join(self._pieces)}

    @property
    def characters(self) -> int:
        block = self.so_far()
        said = len(str(block.get("text") or "")) + len(str(block.get("thinking") or ""))
        return said + sum(map(len, self._inputs))

    def close(self) -> None:
        if self.closed:
            return
        if self._half:
            (self._inputs if self._inputs else self._pieces).append(whole(self._half))
            self.is_mended, self._half = True, ""
        self.block = self.so_far()
        self._pieces.clear()
        if raw := "".join(self._inputs):
            self.block["input"], self.broken = _input(raw)
        self.closed = True


def _input(raw: str) -> tuple[dict[str, Any], bool]:
    """A call's input from its JSON, and whether it was broken. The API takes back nothing but an object."""
    try:
        value = mended(loads(raw))
    except ValueError:
        value = None
    return (value, False) if isinstance(value, dict) and not is_deep(value) else ({"INVALID_JSON": raw}, True)


def _is_sendable(block: Block) -> bool:
    return not is_blank(block) and (not is_thinking(block) or is_signed(block))


def _usage(figures: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=figures.get("input_tokens", 0),
        output_tokens=figures.get("output_tokens", 0),
        cache_read_tokens=figures.get("cache_read_input_tokens", 0),
        cache_write_tokens=figures.get("cache_creation_input_tokens", 0),
    )
