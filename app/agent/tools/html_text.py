"""Turns HTML into text or Markdown: the parts of the page that a reader would see, without its machinery."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Final

_CHUNK: Final = 8_192
_HIDDEN: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe", "object"})
_BLOCKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset"}
    | {"figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol", "p", "section"}
    | {"summary", "table", "ul", "h1", "h2", "h3", "h4", "h5", "h6", "pre"}
)
_LINES: Final = frozenset({"br", "li", "tr"})
_MARKS: Final = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`"}
_HEADINGS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)}


def to_text(html: str) -> str:
    return _convert(_Reader(), html)


def to_markdown(html: str) -> str:
    return _convert(_MarkdownReader(), html)


def _convert(reader: _Reader, html: str) -> str:
    """In pieces and without `close`: the parser's handling of a page that ends in the middle of a tag takes
    quadratic time. It looks at an unfinished tag again with each piece, so pieces grow with it."""
    at = 0
    while at < len(html):
        size = max(_CHUNK, len(reader.rawdata))
        reader.feed(html[at : at + size])
        at += size
    return reader.result()


class _Reader(HTMLParser):
    """Collects the words, with blank lines between blocks and the white space of `pre` as it is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._hidden: list[str] = []
        self._verbatim = 0

    def result(self) -> str:
        if not self.rawdata.startswith("<"):
            self.handle_data(unescape(self.rawdata))  # held back: it might have become a reference
        text = re.sub(r"(?<![ \t])[ \t]+\n", "\n", "".join(self._parts))
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if (
            tag in _HIDDEN and tag not in self._hidden
        ):  # an end tag closes all of its kind, so one of each will do
            self._hidden.append(tag)
        if self._hidden:
            return
        self._separate(tag)
        if tag == "pre":
            self._verbatim += 1
        if tag in ("td", "th") and not self._at_space():
            self.say(" ")
        self.opened(tag, {name: value or "" for name, value in attrs})

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HIDDEN:  # `<svg/>` hides nothing
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                del self._hidden[self._hidden.index(tag) :]
            return
        self.closed(tag)
        if tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)
        if tag in _BLOCKS:
            self._separate(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._verbatim:
            data = re.sub(r"\s+", " ", data)
            if self._at_space():
                data = data.lstrip(" ")
        self.say(data)

    def parse_html_declaration(self, i: int) -> int:
        """`<![` begins a comment, as HTML has it. The parser's own rule is SGML's and raises AssertionError."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        """A visible tag begins."""

    def closed(self, tag: str) -> None:
        """A visible tag ends."""

    def say(self, words: str) -> None:
        if words:
            self._parts.append(words)

    def _at_space(self) -> bool:
        return not self._parts or self._parts[-1].endswith(("\n", " "))

    def _separate(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.say("\n\n")
        elif tag in _LINES:
            self.say("\n")


class _MarkdownReader(_Reader):
    """The same, with the marks of Markdown for headings, lists, links, emphasis and code."""

    def __init__(self) -> None:
        super().__init__()
        self._links: list[str] = []
        self._lists: list[int | None] = []  # the next number, or None in a list without numbers

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _HEADINGS:
            self.say(_HEADINGS[tag])
        elif tag == "a":
            self._links.append(attributes.get("href", ""))
            self.say("[")
        elif tag == "img":
            self.say(f"![{attributes.get('alt', '')}]({attributes.get('src', '')})")
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self.say(self._bullet())
        elif tag == "blockquote":
            self.say("> ")
        elif tag == "hr":
            self.say("---\n\n")
        elif tag == "pre":
            self.say("```\n")
        elif tag in _MARKS and not self._verbatim:
            self.say(_MARKS[tag])

    def closed(self, tag: str) -> None:
        if tag == "a" and self._links:
            self.say(f"]({self._links.pop()})")
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre":
            self.say("\n```")
        elif tag in _MARKS and not self._verbatim:
            self.say(_MARKS[tag])

    def _bullet(self) -> str:
        indent = "  " * min(max(0, len(self._lists) - 1), 10)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "
