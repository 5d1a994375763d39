"""The order of a run's events, as a client relies on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

Event = dict[str, Any]


@dataclass(slots=True)
class Promises:
    """The promises about one run's stream, from its first event to its last. AssertionError where one is broken.

    `root` is the session of the run: streams of tasks lie inside its own. A run that breaks off says so by an `error`,
    and its end is then the end of all of them. `calls` says of what form the pieces of calls are.
    """

    root: str = ""
    calls: Calls = field(default_factory=lambda: Calls())
    _open: list[str] = field(default_factory=list)  # the streams begun and not ended, the innermost last
    _running: list[str] = field(default_factory=list)  # calls that have begun and have no response yet
    _asked: str = ""  # the call that waits for approval
    _answered: set[str] = field(default_factory=set)
    _spoke: bool = False  # since a message was added
    _uncounted: bool = False  # a message was added, and what it used was not told yet
    _messages: MessageIds = field(default_factory=lambda: MessageIds())
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
                self._messages.speak(event)
            case "partial_tool_call":
                assert self._open, "a delta before its stream"
                self._spoke = True
                self.calls.piece(event)
            case "message_added":
                self._spoke, self._uncounted = False, self._spoke
                self._messages.add(event)
            case "token_usage":
                self._uncounted = False
            case "tool_call_confirmation":
                assert not self._uncounted, "a call before the usage of the message that made it"
                assert not self._asked, "a second question before the first call's response"
                self._asked = event["tool_call"]["id"]
                self.calls.whole(event)
            case "tool_call":
                assert not self._uncounted, "a call before the usage of the message that made it"
                assert event["tool_call"]["id"] not in self._running
                assert self._asked in ("", event["tool_call"]["id"])
                self._running.append(event["tool_call"]["id"])
                self.calls.whole(event)
            case "tool_call_output":
                assert event["tool_call_id"] in self._running, "output of a call that does not run"
            case "tool_call_response":
                self._respond(event)

    def _respond(self, event: Event) -> None:
        call = event["tool_call"]["id"]
        assert event.get("tool_call_id", call) == call, "two names for one call"
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


CUT: Final = "\n\n[cut: too long to be shown here]"
"""A text that does not fit a line ends in this; each event is cut by itself."""


@dataclass(slots=True)
class Calls:
    """A call while it is written. March's clients are sent its text so far in each event, with the definition; later
    ones the new piece, with the definition in the first one only, if the tool is known. One stream is in one form.

    `form` is `march`, `later`, or empty while nothing has shown which one it is.
    """

    form: str = ""
    _text: dict[str, str] = field(default_factory=dict)
    _twice: set[str] = field(default_factory=set)  # ids that the model has given to several calls

    def piece(self, event: Event) -> None:
        name, piece = _name_and_arguments(event)
        so_far = self._text.get(name)
        if so_far is not None and self._begins(event, so_far, piece):
            self._twice.add(name)
            so_far = None
        if so_far is None:
            self._text[name] = piece
            return
        self._is_in("march" if "tool_definition" in event else "later")
        if self.form == "march":
            assert _agree(so_far, piece), f"{piece!r} does not go on from {so_far!r}"
            self._text[name] = piece
        else:
            self._text[name] = so_far + piece

    def _begins(self, event: Event, so_far: str, piece: str) -> bool:
        """Whether this is the first piece of another call with the same id."""
        if "tool_definition" not in event:
            return _is_json(so_far)
        return not piece or (piece.startswith("{") and not _agree(so_far, piece))

    def whole(self, event: Event) -> None:
        """The call is written, and its pieces are a beginning of it. A call may be mended once it is whole."""
        name, arguments = _name_and_arguments(event)
        written = self._text.pop(name, "")
        is_plain = not set(written) & {
            " ",
            "\n",
            "\\",
        }  # else the call's JSON is written otherwise than the model's
        if (
            name not in {"", *self._twice}
            and is_plain
            and not _is_json(written)
            and not _goes_on(written, arguments)
        ):
            assert _agree(written, arguments), f"{written!r:.200} was shown of {arguments!r:.200}"

    def _is_in(self, form: str) -> None:
        assert self.form in ("", form), f"pieces in the form of {form} after those of {self.form}"
        self.form = form


def _name_and_arguments(event: Event) -> tuple[str, str]:
    call = event["tool_call"]
    return call.get("id", ""), call.get("function", {}).get("arguments", "")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _goes_on(written: str, arguments: str) -> bool:
    """Whether another call with the same id was written behind this one."""
    rest = written.removeprefix(arguments) if arguments and written.startswith(arguments) else ""
    return rest.startswith("{") and not arguments.startswith(rest)


def _agree(beginning: str, text: str) -> bool:
    """Whether `text` goes on from `beginning`, as far as both are shown."""
    if not text.endswith(CUT) and not beginning.endswith(CUT):
        return text.startswith(beginning)
    beginning, text = beginning.removesuffix(CUT), text.removesuffix(CUT)
    return text.startswith(beginning) or beginning.startswith(text)


@dataclass(slots=True)
class MessageIds:
    """Ids of the messages that are spoken: one for all deltas of a message, and never used for another one."""

    _speaking: dict[str, str] = field(default_factory=dict)
    _spoken: set[str] = field(default_factory=set)

    def speak(self, event: Event) -> None:
        if name := event.get("message_id", ""):
            assert name not in self._spoken, f"{name} was the id of an earlier message"
            self._speaking[event["session_id"]] = name

    def add(self, event: Event) -> None:
        if name := self._speaking.pop(event["session_id"], ""):
            self._spoken.add(name)
