"""Texts with which a user steers the stand-in, read from a message.

| Type | and the model |
| --- | --- |
| `[say hello there]` | says it |
| `[words 200]` | says that many words |
| `[think]`, `[think about the weather]` | thinks first (where thinking is on) |
| `[redact]` | sends a redacted thinking block |
| `[call shell {"cmd": "ls"}]` | calls a tool; several in one round are parallel calls |
| `[then]` | what follows belongs to the next round, after the tools' results |
| `[pause]` | stops inside a web search (`pause_turn`); what follows comes when the turn is sent back |
| `[pace 20]` | sends 20 deltas a second, from this round on |
| `[delay 1.5]` | waits before the first byte |
| `[stamp]` | ends each text delta with ` t=<CLOCK_MONOTONIC in ns>` as it is written |
| `[truncate]`, `[truncate-as-tool_use]` | cuts the last call's input: `max_tokens`, or as if it were whole |
| `[max_tokens]`, `[context_window]`, `[refuse]` | stops for that reason, its last text cut |
| `[empty]`, `[blank]` | sends no content; sends a text block of white space |
| `[same-ids]`, `[empty-id]` | gives its calls ids from earlier in the session; no id at all |
| `[fail 529]`, `[fail 529 2]`, `[fail 429 1 retry-after 3]` | answers that status, always or N times |
| `[hang-up]`, `[hang-up 2]` | closes the connection without a word |
| `[drop 5]`, `[drop 5 times 1]` | cuts the connection after 5 deltas |
| `[stall 5]`, `[stall 5 times 1]` | falls silent after 5 deltas, until the client leaves |
| `[hold 5]`, `[hold 5 times 1]` | waits after 5 deltas for `POST /release` |
| `[error overloaded_error 5]`, `[… times 1]` | sends an error event after 5 deltas |
| `[calm]` | lets none of the above failures happen, whoever asked for them in the same message |
| `[nostop]` | ends cleanly, but without `message_delta` and `message_stop` |
| `[malformed]`, `[unknown]` | puts in a frame of broken JSON; an event and a delta of unknown types |

Anything else in brackets is text. `times N` counts the requests of the same user text in the same session.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from anthropic_standin.refusal import Json


@dataclass(frozen=True, slots=True)
class SayDirective:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkDirective:
    text: str
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class CallDirective:
    name: str
    input: Json


@dataclass(frozen=True, slots=True)
class ThenDirective:
    """The round ends here."""


@dataclass(frozen=True, slots=True)
class PauseDirective:
    """The answer ends here, inside a server tool."""


@dataclass(frozen=True, slots=True)
class TempoDirective:
    pace: float | None = None  # deltas a second
    delay: float = 0.0  # seconds before the first byte
    stamp: bool = False


@dataclass(frozen=True, slots=True)
class StopDirective:
    """Ends the answer for this reason. `cuts` says what of it is left unfinished."""

    reason: str
    cuts: str = ""  # "text" | "input"


@dataclass(frozen=True, slots=True)
class FailDirective:
    status: int | None  # none: close without an answer
    times: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class BreakDirective:
    """Something happens to the stream after that many deltas."""

    kind: str  # "drop" | "stall" | "hold" | "error"
    after: int
    times: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class QuirkDirective:
    """Something odd in the answer, by its name."""

    name: str


Directive = (
    SayDirective
    | ThinkDirective
    | CallDirective
    | ThenDirective
    | PauseDirective
    | TempoDirective
    | StopDirective
    | FailDirective
    | BreakDirective
    | QuirkDirective
)


@dataclass(frozen=True, slots=True)
class DirectiveScript:
    """A text, read: the directives of each round, and the words around them."""

    rounds: tuple[tuple[Directive, ...], ...]
    words: str = field(default="")


def read_script(text: str) -> DirectiveScript:
    rounds: list[list[Directive]] = [[]]
    words: list[str] = []
    at = 0
    while (start := text.find("[", at)) >= 0:
        words.append(text[at:start])
        directive, at = _read_directive(text, start)
        if directive is None:
            words.append("[")
        elif isinstance(directive, ThenDirective):
            rounds.append([])
        else:
            rounds[-1].append(directive)
    words.append(text[at:])
    return DirectiveScript(tuple(tuple(directives) for directives in rounds), "".join(words).strip())


_CALL = re.compile(r"\[call ([^\s\]]+)\s*")
_OTHER = re.compile(r"\[([a-z_-]+)(?: ([^\]]*))?\]")
_TIMES = re.compile(r"(\d+)(?: times (\d+))?")
_FAIL = re.compile(r"(\d{3})(?: (\d+))?(?: retry-after (\d+(?:\.\d+)?))?")
_ERROR = re.compile(r"([a-z_]+) (\d+)(?: times (\d+))?")
_VOCABULARY = (
    *("please", "look", "into", "this", "and", "tell", "me", "what", "you", "find", "because", "the"),
    *("river", "keeps", "moving", "while", "stones", "stay", "where", "every", "small", "step", "counts"),
)


def _read_directive(text: str, start: int) -> tuple[Directive | None, int]:
    """The directive that begins at `start`, and where the text goes on; none if it is only a bracket."""
    if call := _CALL.match(text, start):
        return _read_call(text, call, start)
    other = _OTHER.match(text, start)
    reader = _READERS.get(other[1]) if other else None
    directive = reader((other[2] or "").strip()) if other and reader else None
    return (directive, other.end()) if other and directive is not None else (None, start + 1)


def _read_call(text: str, call: re.Match[str], start: int) -> tuple[Directive | None, int]:
    """The input is JSON and may hold brackets, so it is JSON's grammar that says where it ends."""
    arguments: Json = {}
    end = call.end()
    if text.startswith("{", end):
        try:
            arguments, end = json.JSONDecoder().raw_decode(text, end)
        except ValueError:
            return None, start + 1
    while text.startswith((" ", "\n"), end):
        end += 1
    if not text.startswith("]", end):
        return None, start + 1
    return CallDirective(call[1], arguments), end + 1


def _words(argument: str) -> Directive | None:
    if not argument.isdecimal():
        return None
    repeated = _VOCABULARY * math.ceil(int(argument) / len(_VOCABULARY))
    return SayDirective(" ".join(repeated[: int(argument)]) or "…")


def _number(make: Callable[[float], Directive]) -> Callable[[str], Directive | None]:
    def read(argument: str) -> Directive | None:
        return make(float(argument)) if re.fullmatch(r"\d+(\.\d+)?", argument) else None

    return read


def _fail(argument: str) -> Directive | None:
    found = _FAIL.fullmatch(argument)
    return (
        FailDirective(int(found[1]), _maybe_int(found[2]), float(found[3]) if found[3] else None)
        if found
        else None
    )


def _hang_up(argument: str) -> Directive | None:
    return FailDirective(None, _maybe_int(argument)) if not argument or argument.isdecimal() else None


def _break(kind: str) -> Callable[[str], Directive | None]:
    def read(argument: str) -> Directive | None:
        found = _TIMES.fullmatch(argument)
        return BreakDirective(kind, int(found[1]), _maybe_int(found[2])) if found else None

    return read


def _error(argument: str) -> Directive | None:
    found = _ERROR.fullmatch(argument)
    return BreakDirective("error", int(found[2]), _maybe_int(found[3]), found[1]) if found else None


def _maybe_int(digits: str | None) -> int | None:
    return int(digits) if digits else None


def _alone(directive: Directive) -> Callable[[str], Directive | None]:
    """A directive that takes no argument; with one, it is text."""
    return lambda argument: None if argument else directive


_READERS: dict[str, Callable[[str], Directive | None]] = {
    "say": lambda argument: SayDirective(argument) if argument else None,
    "words": _words,
    "think": lambda argument: ThinkDirective(argument or "Let me think about this."),
    "redact": _alone(ThinkDirective("", redacted=True)),
    "then": _alone(ThenDirective()),
    "pause": _alone(PauseDirective()),
    "pace": _number(lambda rate: TempoDirective(pace=rate or None)),
    "delay": _number(lambda seconds: TempoDirective(delay=seconds)),
    "stamp": _alone(TempoDirective(stamp=True)),
    "truncate": _alone(StopDirective("max_tokens", cuts="input")),
    "truncate-as-tool_use": _alone(StopDirective("tool_use", cuts="input")),
    "max_tokens": _alone(StopDirective("max_tokens", cuts="text")),
    "context_window": _alone(StopDirective("model_context_window_exceeded", cuts="text")),
    "refuse": _alone(StopDirective("refusal")),
    "fail": _fail,
    "hang-up": _hang_up,
    "error": _error,
    **{kind: _break(kind) for kind in ("drop", "stall", "hold")},
    **{
        name: _alone(QuirkDirective(name))
        for name in ("empty", "blank", "same-ids", "empty-id", "nostop", "malformed", "unknown", "calm")
    },
}
