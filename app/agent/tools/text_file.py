"""Text as files hold it: an encoding, perhaps a byte order mark, and line ends of any kind. A change keeps all
three."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final, Self

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, each with its encoding."""
LONGEST_MARK: Final = 4  # bytes

_MARK: Final = "\ufeff"
_BEYOND_ASCII: Final = re.compile("[^\0-\x7f\ufffd]")
_ENDS: Final = re.compile(r"\r\n|\n")
_ALL_ENDS: Final = re.compile(r"\r\n|\r|\n")
_MAX_NAMED: Final = 5


class EditFailed(Exception):
    """Why a text can't be replaced, in words for the model."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """`mark` is the byte order mark, empty for none. Bytes that are no text are lone surrogates in `text`."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> Self:
        for mark, encoding in MARKS:
            if data.startswith(mark):
                try:
                    return cls(data[len(mark) :].decode(encoding), encoding, mark)
                except UnicodeDecodeError:
                    break
        encoding = _guessed(data)
        return cls(data.decode(encoding, "surrogateescape"), encoding)

    def with_text(self, text: str) -> Self:
        """The same file with another text; a mark that the text begins with is that of the file."""
        return replace(self, text=text.removeprefix(_MARK) if self.mark else text)

    def rewritten(self, text: str) -> Self:
        """A new file in the place of this one. A byte order mark says how it is written; a guess of an encoding does
        not."""
        return (self if self.mark else type(self)("")).with_text(text)

    @property
    def utf_8(self) -> bytes:
        """Its text, for programs that look for some of it; bytes that are no text are what they are."""
        return self.text.encode("utf-8", "surrogateescape")

    @property
    def data(self) -> bytes:
        return self.mark + self.text.encode(self.encoding, "surrogateescape")

    def edited(self, old: str, new: str) -> Self:
        """With `new` in place of `old`, whatever line ends the two are written with. EditFailed."""
        if self.mark:
            old, new = old.removeprefix(_MARK), new.removeprefix(_MARK)
        if not old:
            raise EditFailed("old text is empty")
        self._check(new)
        return replace(self, text=_edited(self.text, old, new))

    def edited_everywhere(self, old: str, new: str) -> Self:
        """With `new` wherever `old` stands, exactly as it is written. EditFailed."""
        self._check(new)
        return replace(self, text=self.text.replace(old, new))

    def _check(self, new: str) -> None:
        try:
            new.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise EditFailed(f"the file is {self.encoding}, which has no {new[error.start]!r}") from None


def _guessed(data: bytes) -> str:
    """UTF-8, also if it is damaged. Bytes without any character of UTF-8 beyond ASCII are in the encoding of western
    Europe."""
    try:
        data.decode()
    except UnicodeDecodeError:
        if b"\0" in data or _BEYOND_ASCII.search(data.decode("utf-8", "replace")):
            return "utf-8"
        return "latin-1" if any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") else "cp1252"
    return "utf-8"


def _edited(text: str, old: str, new: str) -> str:
    ends = _ENDS if "\n" in text else _ALL_ENDS
    for kind in dict.fromkeys((ends, _ALL_ENDS)):
        plain, wanted = _plain(text, kind), _plain(old, kind)
        start = _place(plain, wanted)
        if start is not None:
            return _put(text, kind, start, start + len(wanted), new)
        if wanted.endswith("\n") and len(wanted) > 1 and plain.endswith(wanted[:-1]):
            # The last line has no end.
            start = len(plain) - len(wanted) + 1
            return _put(text, kind, start, len(plain), _plain(new, kind).removesuffix("\n"))
    start = _place(text, old)  # it begins or ends inside of a line end
    if start is None:
        raise EditFailed("old text not found")
    return text[:start] + new + text[start + len(old) :]


def _plain(text: str, ends: re.Pattern[str]) -> str:
    plain = text.replace("\r\n", "\n")
    return plain.replace("\r", "\n") if ends is _ALL_ENDS else plain


def _place(text: str, wanted: str) -> int | None:
    """Where it stands; None if it is not there. EditFailed if it is there more than once."""
    places: list[int] = []
    at = text.find(wanted)
    while at >= 0 and len(places) <= _MAX_NAMED:
        places.append(at)
        at = text.find(wanted, at + 1)
    if len(places) > 1:
        lines = dict.fromkeys(text.count("\n", 0, place) + 1 for place in places[:_MAX_NAMED])
        named = ("lines " if len(lines) > 1 else "line ") + ", ".join(map(str, lines))
        named += ", …" if len(places) > _MAX_NAMED else ""
        times = {2: "twice"}.get(len(places), "several times")
        raise EditFailed(
            f"old text found {times} (in {named}); "
            "give more of what stands around it, so that it can be only one place"
        )
    return places[0] if places else None


def _put(text: str, ends: re.Pattern[str], start: int, stop: int, new: str) -> str:
    """Puts `new` between two places that are counted with one character for each line end. Its lines end as those did
    that it replaces; further ones as the line in which it stands."""
    double = [match.start() - number for number, match in enumerate(re.finditer("\r\n", text))]
    begin, end = (place + bisect_left(double, place) for place in (start, stop))
    here = ends.findall(text, begin, end) or [_end_nearby(text, ends, begin, end)]
    first, *rest = _plain(new, ends).split("\n")
    pieces = [first]
    for number, line in enumerate(rest):
        pieces += [here[min(number, len(here) - 1)], line]
    return text[:begin] + "".join(pieces) + text[end:]


def _end_nearby(text: str, ends: re.Pattern[str], begin: int, end: int) -> str:
    """How the line ends in which a place lies; the last one of a file as the line before it."""
    if after := ends.search(text, end):
        return after[0]
    at = max(text.rfind("\n", 0, begin), text.rfind("\r", 0, begin) if ends is _ALL_ENDS else -1)
    before = ends.search(text, max(at - 1, 0)) if at >= 0 else None
    return before[0] if before else "\n"
