"""The text of an HTTP answer, by the encoding that it names."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

from app.agent.tools.text_file import MARKS

_HEAD: Final = 4096  # bytes of a page in which it names its encoding
_HEADER: Final = re.compile(r"""charset\s*=\s*["']?\s*([\w.:+-]+)""", re.IGNORECASE)
_META: Final = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:+-]+)""", re.IGNORECASE)
_XML: Final = re.compile(rb"""^\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:+-]+)""")
_NO_TEXT: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7", "mbcs", "oem"}
)
"""Python's names of what is no encoding of pages: some of it takes long, some makes text of what was none."""
_MEANT: Final = {"iso8859-1": "cp1252", "ascii": "cp1252", "utf-16": "utf-16-le"}
"""Encodings that browsers read as wider ones."""


def decoded(body: bytes, content_type: str) -> str:
    """By its byte order mark, else by the header, else by the page's own word, else as UTF-8; a name that nobody
    knows does not count. A byte that is no character becomes U+FFFD, and so does NUL, which no database takes."""
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return _readable(body[len(mark) :], encoding)
    encoding = next((found for name in _named(body, content_type) if (found := _known(name))), "utf-8")
    return _readable(body, encoding)


def _named(body: bytes, content_type: str) -> Iterator[str]:
    if named := _HEADER.search(content_type):
        yield named[1]
    head = body[:_HEAD]
    if "html" in content_type.lower() and (meta := _META.search(head)):
        name = meta[1].decode("ascii", "replace")
        # It could not be read here if the page were in UTF-16.
        yield "utf-8" if name.lower().startswith(("utf-16", "utf-32")) else name
    if "xml" in content_type.lower() and (declared := _XML.search(head)):
        yield declared[1].decode("ascii", "replace")


def _known(name: str) -> str:
    """Python's name for it; empty for what is no encoding of text."""
    try:
        encoding = codecs.lookup(name).name
        "".encode(encoding)  # LookupError for what turns bytes into bytes
    except (LookupError, ValueError):
        return ""
    return "" if encoding.replace("_", "-") in _NO_TEXT else _MEANT.get(encoding, encoding)


def _readable(body: bytes, encoding: str) -> str:
    try:
        text = body.decode(encoding, "replace")
    except ValueError:
        text = body.decode("utf-8", "replace")
    return text.replace("\0", "\ufffd")
