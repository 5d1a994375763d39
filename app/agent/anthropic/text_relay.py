"""The events of one streamed answer, in order; an event of text alone is shown before its reader is woken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from app.agent.anthropic.sse_decoder import MalformedStream, SseDecoder
from app.agent.anthropic.transport import Interrupt
from app.agent.anthropic.turn_accumulator import TurnAccumulator
from app.agent.model_client import Show, TextDelta, ThinkingDelta
from app.conversation.json_text import loads

_PLAIN: Final = frozenset({"text_delta", "thinking_delta"})


class TextRelay:
    """A `Consumer` of its own body. In the hands of its reader's thread, except while that waits in the transport:
    then `take` is called on the thread that reads for all.
    """

    def __init__(self, accumulator: TurnAccumulator, interrupt: Interrupt, show: Show | None) -> None:
        self._accumulator = accumulator
        self._interrupt = interrupt
        self._show = show
        self._decoder = SseDecoder()
        self._left: list[Any] = []  # events that `take` had no business with
        self.ready = False

    def read_alone(self) -> None:
        """The parts of the body are not what they seem: all of them are for the reader."""
        self._show = None

    def events(self, data: bytes) -> Iterator[Any]:
        """The events that `take` has left, then those that these bytes complete. MalformedStream."""
        left, self._left = self._left, []
        yield from left
        for _, text in self._decoder.feed(data):
            yield _loaded(text)

    def shown(self, delta: object) -> None:
        """The reader has shown this delta. After text comes more text, mostly, and that needs nobody."""
        self.ready = self._show is not None and isinstance(delta, TextDelta | ThinkingDelta)

    def take(self, part: bytes) -> bool:
        texts = [text for _, text in self._decoder.feed(part)]
        for index, text in enumerate(texts):
            event = _loaded(text)
            if self._show is None or self._interrupt.requested or not _is_plain(event):
                self._left = [event, *map(_loaded, texts[index + 1 :])]
                return False
            delta = self._accumulator.add(event)
            if isinstance(delta, TextDelta | ThinkingDelta):
                self._show(delta)
        return True


def _is_plain(event: Any) -> bool:
    """Is it nothing but text, or a ping?"""
    try:
        kind = event["type"]
        return kind == "ping" or (kind == "content_block_delta" and event["delta"]["type"] in _PLAIN)
    except (KeyError, TypeError):
        return False


def _loaded(text: bytes) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise MalformedStream(f"an event that is not JSON: {error}") from error
