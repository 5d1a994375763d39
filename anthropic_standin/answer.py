"""The stand-in's answers: content blocks, the reason why they end, and how they travel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from anthropic_standin.directives import BreakDirective, TempoDirective
from anthropic_standin.refusal import Json
from anthropic_standin.signature import Prefix

NewId = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Piece:
    """One content block, and the JSON of its input where that was cut."""

    block: Json
    cut_input: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    pieces: tuple[Piece, ...]
    stop_reason: str
    tempo: TempoDirective = field(default_factory=TempoDirective)
    broken: BreakDirective | None = None
    quirks: frozenset[str] = frozenset()


class Author:
    """Writes the blocks of one answer, each behind the ones before it, and signs its thinking.

    Owned by the request that it answers.
    """

    def __init__(self, prefix: Prefix, new_id: NewId, *, shows_thinking: bool) -> None:
        self.pieces: list[Piece] = []
        self._prefix = prefix
        self._new_id = new_id
        self._shows_thinking = shows_thinking

    def say(self, text: str) -> None:
        self._add({"type": "text", "text": text})

    def think(self, text: str) -> None:
        shown = text if self._shows_thinking else ""
        self._add({"type": "thinking", "thinking": shown, "signature": self._prefix.sign(shown)})

    def think_redacted(self) -> None:
        self._add({"type": "redacted_thinking", "data": self._prefix.sign("")})

    def call(self, name: str, arguments: Json, call_id: str | None = None) -> None:
        chosen = self._new_id("toolu") if call_id is None else call_id
        self._add({"type": "tool_use", "id": chosen, "name": name, "input": arguments})

    def call_cut(self, name: str, arguments: Json) -> None:
        """A call whose input breaks off. Nothing can follow it, so nothing is signed behind it."""
        whole = orjson.dumps(arguments).decode()
        block = {"type": "tool_use", "id": self._new_id("toolu"), "name": name, "input": {}}
        self.pieces.append(Piece(block, cut_input=whole[: max(1, len(whole) * 2 // 3)]))

    def search(self, query: str) -> None:
        call = {"type": "server_tool_use", "id": self._new_id("srvtoolu"), "name": "web_search"}
        self._add({**call, "input": {"query": query}})

    def found(self, search: str) -> None:
        hit = {"type": "web_search_result", "title": "A page", "url": "https://example.com/"}
        content = [{**hit, "encrypted_content": "cGFnZQ==", "page_age": None}]
        self._add({"type": "web_search_tool_result", "tool_use_id": search, "content": content})

    def _add(self, block: Json) -> None:
        self._prefix.add("assistant", block)
        self.pieces.append(Piece(block))
