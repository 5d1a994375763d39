"""Query parameters and headers: read, checked, and refused in words that say what would do.

Each is declared once, as a value that reads itself and says what it accepts (`schema`, JSON Schema), so that the
OpenAPI document describes exactly what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, get_args

from flask import request

from app.conversation.run import RunStatus
from app.errors import InvalidRequest
from app.team.durations import parse_duration

Schema = Mapping[str, Any]

SESSION_ID: Final = r"[A-Za-z0-9_-]{1,64}"
MESSAGE_ID: Final = r"[0-9]{1,9}"
_SECONDS: Final = r"[0-9]{1,9}(\.[0-9]{1,6})?"
_DURATION: Final = r"\+?(([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)){1,4}"
_KEY: Final = r"[!-~]{1,255}"
_NUMBER: Final = r"[0-9]{0,18}"
_POSITION: Final = r'(\*|(W/)?("-1"|-1|"[0-9]{1,18}"|[0-9]{1,18}))?'


@dataclass(frozen=True, slots=True)
class Parameter:
    """`about` is a sentence for the document."""

    place: ClassVar[Literal["query", "header"]] = "query"

    name: str
    about: str

    @property
    def schema(self) -> Schema:
        return {"type": "string"}

    def given(self) -> str | None:
        """The request's value under this name; the first, if it is there more than once."""
        return (request.args if self.place == "query" else request.headers).get(self.name)


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """One of a few words. A default of "" is given by the server's settings."""

    words: tuple[str, ...]
    default: str = ""

    @property
    def schema(self) -> Schema:
        preset = {"default": self.default} if self.default else {}
        return {"type": "string", "enum": list(self.words), **preset}

    def read(self, default: str = "") -> str:
        given = self.given()
        value = given if given is not None else default or self.default
        if value not in self.words:
            raise InvalidRequest(f"{self.name} must be one of {', '.join(self.words)}", status=422)
        return value


@dataclass(frozen=True, slots=True)
class Seconds(Parameter):
    """`10`, `2.5`, `500ms` or `1m30s`; a time of more than `most` counts as `most`."""

    most: float
    default: float = 0.0

    @property
    def schema(self) -> Schema:
        return {
            "type": "string",
            "pattern": f"^({_SECONDS}|{_DURATION})$",
            "examples": ["10", "2.5s", "1m30s"],
        }

    def read(self) -> float:
        text = self.given()
        if text is None:
            return self.default
        if re.fullmatch(_SECONDS, text):
            value = float(text)
        elif re.fullmatch(_DURATION, text):
            value = parse_duration(text)
        else:
            raise InvalidRequest(
                f"{self.name} is a number of seconds, for example 10, 2.5s or 1m30s", status=422
            )
        return min(value, self.most)


@dataclass(frozen=True, slots=True)
class Matching(Parameter):
    """A text of a certain form; `hint` says which to a client that sends another."""

    pattern: str
    hint: str

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{self.pattern}$"}

    def read(self) -> str | None:
        text = self.given()
        if text is not None and not re.fullmatch(self.pattern, text):
            raise InvalidRequest(self.hint, status=422)
        return text


@dataclass(frozen=True, slots=True)
class Header(Matching):
    place = "header"


@dataclass(frozen=True, slots=True)
class WordList(Parameter):
    """A list of a few known words, separated by commas; empty for all."""

    known: tuple[str, ...] = get_args(RunStatus)

    @property
    def schema(self) -> Schema:
        word = "|".join(self.known)
        return {"type": "string", "pattern": f"^(({word})(,({word}))*)?$", "examples": ["running,failed"]}

    def read(self) -> list[str]:
        text = self.given() or ""
        wanted = text.split(",") if text else []
        if not set(wanted) <= set(self.known):
            raise InvalidRequest(
                f"{self.name} is a list, separated by commas, of {', '.join(self.known)}", status=422
            )
        return wanted


@dataclass(frozen=True, slots=True)
class Moment(Parameter):
    """A time: RFC 3339, or seconds since the epoch."""

    @property
    def schema(self) -> Schema:
        return {"type": "string", "examples": ["2026-11-22T20:00:00Z", "1795377600"]}

    def read(self) -> float | None:
        """One that we have written ourselves is rounded to a microsecond, so that much earlier counts too."""
        text = self.given()
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text):
            return float(text)
        try:
            whole = re.sub(r"(T.*) ", r"\1+", text)  # a plus sign that nobody has quoted
            return datetime.fromisoformat(whole).astimezone(UTC).timestamp() - 0.000_001
        except (ValueError, OverflowError):
            raise InvalidRequest(
                f"{self.name} is a time, for example 2026-11-22T20:00:00Z, or seconds since the epoch",
                status=422,
            ) from None


PRETTY: Final = Parameter("pretty", "Indents the JSON of the answer, whatever its value.")
SINCE: Final = Matching(
    "since", "The number of the last event that was read.", _NUMBER, "an event number is a whole number"
)
LAST_EVENT_ID: Final = Header(
    "Last-Event-ID",
    "The number of the last event that was read; counts less than `since`, with `BATON_WIRE=march-2026` more.",
    _NUMBER,
    "an event number is a whole number",
)
IF_MATCH: Final = Header(
    "If-Match",
    "The position of the last message that was seen, counted from 0; -1 for none. 412 if there are more by now.",
    _POSITION,
    "If-Match, the position of the last message you have seen, is a whole number",
)
IDEMPOTENCY_KEY: Final = Header(
    "Idempotency-Key",
    "The same request with the same key has the first one's outcome, for a day.",
    _KEY,
    "an Idempotency-Key is 1 to 255 printable characters without spaces",
)


def cursor(*, header_first: bool) -> int | None:
    """The number of the last event that the reader has seen, from the header or from `since`."""
    header, since = LAST_EVENT_ID.read(), SINCE.read()
    text = header or since if header_first else since or header
    return int(text) if text else None


def expected_position() -> int | None:
    """`If-Match`: the position of the last message that the caller has seen; -1 for an empty session."""
    text = (IF_MATCH.read() or "*").removeprefix("W/").strip('"')
    return None if text == "*" else int(text)
