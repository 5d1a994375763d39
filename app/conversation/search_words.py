"""Words, as a search finds them: without case, accents and signs between them. Scripts that put no space between words
are searched by their characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from app.conversation.blocks import Block, plain_text, result_text

MAX_TEXT: Final = 20_000
"""Characters of a message that can be found."""

MAX_RESULT: Final = 2_000
"""The same of a tool's result."""

MAX_WORD: Final = 64
MAX_TERMS: Final = 20
BEFORE: Final = 60  # characters of an excerpt before what was found
EXCERPT: Final = 220

_SPACELESS: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER: Final = rf"[^\W_{_SPACELESS}]"
_WORD: Final = re.compile(rf"[{_SPACELESS}]|{_LETTER}(?:{_LETTER}|[\u0300-\u036f])*")
_TERM: Final = re.compile(r'"([^"]*)"?|([^\s"]+)')

Span = tuple[int, int]


def words_of(text: str) -> str:
    """The words of a text, each as it is found, with a space between them."""
    return " ".join(word for word, _, _ in _words(text))


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    for found in _WORD.finditer(text):
        if word := _folded(found[0]):
            yield word, found.start(), found.end()


def _folded(word: str) -> str:
    if word.isascii():
        return word[:MAX_WORD].lower()
    plain = unicodedata.normalize("NFKD", word[:MAX_WORD]).casefold()
    letters = "".join(letter for letter in plain if letter.isalnum())
    return unicodedata.normalize("NFC", letters)[:MAX_WORD]


def owner_word(owner: str) -> str:
    """A word that stands in all that is this owner's, so that a search of his reads nobody else's. It hides nothing."""
    return f"of{sha256(owner.encode()).hexdigest()[:16]}"


def text_of(role: str, content: Sequence[Block]) -> str:
    """The text of a message that can be found."""
    if role not in ("user", "tool"):
        return plain_text(content)[:MAX_TEXT]
    results = [result_text(block)[:MAX_RESULT] for block in content if block.get("type") == "tool_result"]
    return "\n".join([plain_text(content), *results])[:MAX_TEXT].strip()


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow each other. `open`: the last may be the beginning of one."""

    words: tuple[str, ...]
    open: bool = False

    def spans_in(self, words: Sequence[tuple[str, int, int]]) -> Span | None:
        """Where the first of them is."""
        *before, last = self.words
        for at in range(len(words) - len(before)):
            if any(words[at + i][0] != word for i, word in enumerate(before)):
                continue
            found = words[at + len(before)]
            if found[0] == last or (self.open and found[0].startswith(last)):
                return words[at][1], found[2]
        return None


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """All of its terms have to be in a message, in whatever order."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> SearchQuery:
        """Words, and "phrases" in quotes; a quote that is not closed ends with the text. No text is wrong. The last
        word counts as the beginning of one, unless something stands behind it."""
        found: list[Term] = []
        for term in _TERM.finditer(text):
            is_open = term[1] is None and term.end() == len(text)
            if words := tuple(word for word, _, _ in _words(term[0])):
                found.append(Term(words, is_open))
        return cls(tuple(found[:MAX_TERMS]))

    def find(self, text: str) -> list[Span] | None:
        """Where each term stands in the text, first of all; None if one of them is not there."""
        words = list(_words(text))
        spans = [term.spans_in(words) for term in self.terms]
        found = [span for span in spans if span is not None]
        return sorted(found) if len(found) == len(spans) else None


def excerpt(text: str, spans: Sequence[Span]) -> Mapping[str, Any]:
    """The text round the first span, in one line, and where in it the spans are, counted in characters."""
    first = spans[0][0]
    start = max(0, first - BEFORE)
    if start and (space := text.find(" ", start, first)) >= 0:
        start = space + 1
    end = start + EXCERPT
    before, after = "…" if start else "", "…" if end < len(text) else ""
    line = "".join(" " if letter.isspace() else letter for letter in text[start:end])
    shift = len(before) - start
    marks = [[begin + shift, min(stop, end) + shift] for begin, stop in spans if begin < end]
    return {"excerpt": before + line + after, "marks": marks}
