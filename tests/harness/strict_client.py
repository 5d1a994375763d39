"""The contract's client, as far as it reads streams: written from the contract alone, and as strict as that client.

It reads lines of at most 65,535 bytes, skips what does not begin with `data: `, looks at `type`, and decodes the event
into the fields that it knows. An event of an unknown type is skipped. One with a field of the wrong type, or with a
time that has no zone, is dropped, without a word to anybody; a line that is too long ends the stream. That client's
user would therefore never see an event that `StrictClient` writes down as dropped.

`Promises` are what the contract says of the order of a run's events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

Event = dict[str, Any]
Check = Callable[[Any, str], None]

MAX_LINE: Final = 65_535
SENT_BUT_UNKNOWN: Final = frozenset(
    {"model_fallback", "message_added", "sub_session_completed", "session_exited", "gap"}
)
"""Types that a server may send though that client has no use for them; any other one would be a slip of the pen."""

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)


class WrongType(Exception):
    """The client's decoder would refuse this field."""


def text(value: Any, where: str) -> None:
    _need(isinstance(value, str), where, "a string", value)


def truth(value: Any, where: str) -> None:
    _need(isinstance(value, bool), where, "a bool", value)


def whole(value: Any, where: str) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    _need(fits, where, "an int64", value)


def number(value: Any, where: str) -> None:
    _need(isinstance(value, int | float) and not isinstance(value, bool), where, "a number", value)


def moment(value: Any, where: str) -> None:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    _need(match is not None, where, "a time with a zone", value)
    if match is not None:
        try:
            datetime.fromisoformat(match[1])
        except ValueError:
            _need(False, where, "a time that there is", value)


def anything(value: Any, where: str) -> None:
    """Decoded into an interface."""


def listed(item: Check) -> Check:
    def check(value: Any, where: str) -> None:
        _need(isinstance(value, list), where, "an array", value)
        for index, one in enumerate(value):
            _unless_null(item, one, f"{where}[{index}]")

    return check


def mapped(item: Check) -> Check:
    def check(value: Any, where: str) -> None:
        _need(isinstance(value, dict), where, "an object", value)
        for key, one in value.items():
            _unless_null(item, one, f"{where}.{key}")

    return check


def shaped(**fields: Check) -> Check:
    """A struct: keys whatever their case, further keys are skipped, null leaves a field as it is."""

    def check(value: Any, where: str) -> None:
        _need(isinstance(value, dict), where, "an object", value)
        for key, one in value.items():
            if (known := fields.get(key) or fields.get(key.lower())) is not None:
                _unless_null(known, one, f"{where}.{key}")

    return check


def _unless_null(check: Check, value: Any, where: str) -> None:
    if value is not None:
        check(value, where)


def _need(fits: bool, where: str, wanted: str, value: Any) -> None:
    if not fits:
        raise WrongType(f"{where} is not {wanted}: {value!r:.80}")


_TOOL_CALL: Final = shaped(id=text, type=text, function=shaped(name=text, arguments=text))
_TOOL: Final = shaped(
    name=text,
    category=text,
    description=text,
    parameters=anything,
    annotations=shaped(
        title=text, readonlyhint=truth, destructivehint=truth, idempotenthint=truth, openworldhint=truth
    ),
    outputschema=anything,
)
_MEDIA: Final = listed(shaped(data=text, mimetype=text))
_RESULT: Final = shaped(
    output=text, iserror=truth, meta=anything, images=_MEDIA, audios=_MEDIA, structuredcontent=anything
)
_COUNTS: Final = dict.fromkeys(
    [
        *("input_tokens", "output_tokens", "cached_input_tokens", "cached_write_tokens", "reasoning_tokens"),
        *("limit", "remaining", "reset", "retry_after"),
    ],
    whole,
)
_USAGE: Final = shaped(
    input_tokens=whole,
    output_tokens=whole,
    context_length=whole,
    context_limit=whole,
    cost=number,
    last_message=shaped(**_COUNTS, cost=number, model=text),
)
_PARTS: Final = listed(
    shaped(
        type=text,
        text=text,
        image_url=shaped(url=text, detail=text),
        file=shaped(path=text, file_id=text, mime_type=text),
    )
)
_MEMBERS: Final = listed(
    shaped(
        name=text,
        description=text,
        provider=text,
        model=text,
        commands=mapped(shaped(description=text, instruction=text)),
    )
)
_CALL: Final = {"tool_call": _TOOL_CALL, "tool_definition": _TOOL}
_RAG: Final = {"rag_name": text, "strategy_name": text}
_OF_SESSION: Final = {"session_id": text}

KNOWN: Final[Mapping[str, Mapping[str, Check]]] = {
    "agent_info": {"model": text, "description": text, "welcome_message": text},
    "team_info": {"available_agents": _MEMBERS, "current_agent": text},
    "mcp_init_started": {},
    "mcp_init_finished": {},
    "toolset_info": {"available_tools": whole, "loading": truth},
    "warning": {"message": text},
    "user_message": {"message": text, "multi_content": _PARTS, "session_position": whole, **_OF_SESSION},
    "stream_started": _OF_SESSION,
    "agent_choice": {"content": text, **_OF_SESSION},
    "agent_choice_reasoning": {"content": text, **_OF_SESSION},
    "partial_tool_call": _CALL,
    "tool_call_confirmation": _CALL,
    "tool_call": _CALL,
    "tool_call_response": {**_CALL, "response": text, "result": _RESULT},
    "hook_blocked": {**_CALL, "message": text},
    "token_usage": {"usage": _USAGE, **_OF_SESSION},
    "session_title": {"title": text, **_OF_SESSION},
    "session_compaction": {"status": text, **_OF_SESSION},
    "session_summary": {"summary": text, **_OF_SESSION},
    "max_iterations_reached": {"max_iterations": whole},
    "elicitation_request": {
        **dict.fromkeys(("message", "mode", "url", "elicitation_id"), text),
        "schema": anything,
        "meta": mapped(anything),
    },
    "authorization_event": {"confirmation": text},
    "agent_switching": {"switching": truth, "from_agent": text, "to_agent": text},
    "error": {"error": text},
    "stream_stopped": _OF_SESSION,
    "shell": {"output": text},
    "rag_indexing_started": _RAG,
    "rag_indexing_completed": _RAG,
    "rag_indexing_progress": {**_RAG, "current": whole, "total": whole},
}
_ALWAYS: Final[Mapping[str, Check]] = {"type": text, "agent_name": text, "timestamp": moment}


def decode(data: bytes) -> Event:
    """One event's JSON. WrongType if the client would drop the event; it looks only at the type of an event whose
    type it does not know."""
    try:
        event = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        raise WrongType(f"not JSON: {data[:80]!r}: {error}") from None
    shaped(type=text)(event, "the event")
    if (fields := KNOWN.get(str(event.get("type")))) is not None:
        shaped(**{**_ALWAYS, **fields})(event, str(event["type"]))
    return dict(event)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@dataclass(slots=True)
class StrictClient:
    """That client's view of one stream, whose bytes it is fed with."""

    events: list[Event] = field(default_factory=list)
    unknown: list[Event] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    cut_off: bool = False
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        if len(self._rest) > MAX_LINE:
            self.cut_off = True

    def _read(self, line: bytes) -> None:
        self.cut_off = self.cut_off or len(line) > MAX_LINE
        if self.cut_off or not line.startswith(b"data: "):
            return
        try:
            event = decode(line[6:].removesuffix(b"\r"))
        except WrongType as error:
            self.dropped.append(str(error))
            return
        (self.events if event.get("type") in KNOWN else self.unknown).append(event)


@dataclass(slots=True)
class Promises:
    """The promises about one run's stream, from its first event to its last. AssertionError where one is broken.

    `root` is the session of the run: streams of tasks lie inside its own. A run that breaks off says so by an `error`,
    and its end is then the end of all of them.
    """

    root: str = ""
    _open: list[str] = field(default_factory=list)  # the streams begun and not ended, the innermost last
    _running: list[str] = field(default_factory=list)  # calls that have begun and have no response yet
    _asked: str = ""  # the call that waits for approval
    _answered: set[str] = field(default_factory=set)
    _spoke: bool = False  # since a message was added
    _uncounted: bool = False  # a message was added, and what it used was not told yet
    _ended: bool = False
    _broke_off: bool = False

    def see(self, event: Event) -> None:
        assert not self._ended, f"{event['type']} after the end"
        match event["type"]:
            case "stream_started":
                self._open.append(event["session_id"])
                self.root = self.root or event["session_id"]
            case "stream_stopped":
                self._stop(event["session_id"])
            case "error":
                self._broke_off = True
            case "agent_choice" | "agent_choice_reasoning":
                assert self._open[-1:] == [event["session_id"]], "a delta outside of its stream"
                self._spoke = True
            case "partial_tool_call":
                assert self._open, "a delta before its stream"
                self._spoke = True
            case "message_added":
                self._spoke, self._uncounted = False, self._spoke
            case "token_usage":
                self._uncounted = False
            case "tool_call_confirmation":
                assert not self._uncounted, "a call before the usage of the message that made it"
                assert not self._asked, "a second question before the first call's response"
                self._asked = event["tool_call"]["id"]
            case "tool_call":
                assert not self._uncounted, "a call before the usage of the message that made it"
                assert event["tool_call"]["id"] not in self._running
                assert self._asked in ("", event["tool_call"]["id"])
                self._running.append(event["tool_call"]["id"])
            case "tool_call_response":
                self._respond(event)

    def _respond(self, event: Event) -> None:
        call = event["tool_call"]["id"]
        assert isinstance(event["result"], dict), "that client looks into it without asking"
        assert call not in self._answered, f"a second response to {call}"
        self._answered.add(call)
        if call in self._running:
            assert self._running.pop() == call, "calls of a stream run one after the other"
        if self._asked == call:
            self._asked = ""

    def _stop(self, session_id: str) -> None:
        if self._broke_off and session_id == self.root:
            self._open.clear()
        if self._open:
            assert self._open.pop() == session_id, "the innermost stream ends first"
        self._ended = not self._open
