"""The terminal of docker-agent's clients, as far as their users can be shown something twice, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.harness.strict_client import Event


@dataclass(slots=True)
class Call:
    """A tool call as the terminal shows it; `result` is None for as long as its spinner turns."""

    name: str
    arguments: str = ""
    output: str = ""
    result: str | None = None


@dataclass(slots=True)
class Screen:
    """Answers, calls and questions in the order in which they came to the user's eyes."""

    said: list[str] = field(default_factory=list)  # by users
    answers: list[str] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    questions: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)  # results of calls that it does not know
    notices: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    _speaks: bool = False

    def show(self, event: Event) -> None:
        kind = event["type"]
        self.kinds.append(kind)
        match kind:
            case "agent_choice":
                if not self._speaks:
                    self.answers.append("")
                self.answers[-1] += event["content"]
            case "user_message":
                self.said.append(event["message"])
            case "partial_tool_call":
                call, arguments = self.call_of(event)
                self.show_piece(call, arguments)
            case "tool_call" | "tool_call_confirmation":
                call, call.arguments = self.call_of(event)
            case "tool_call_output" | "tool_call_response":
                self.show_result(event, event.get("tool_call_id", ""))
            case "elicitation_request":
                self.questions.append(event)
            case "warning" | "error":
                self.notices.append(event.get("message") or event["error"])
        self._speaks = kind == "agent_choice" or (self._speaks and kind == "agent_choice_reasoning")

    def call_of(self, event: Event) -> tuple[Call, str]:
        """The call that an event is about, and the arguments in it."""
        function = event["tool_call"]["function"]
        call = self.calls.setdefault(event["tool_call"].get("id", ""), Call(function.get("name", "")))
        return call, function.get("arguments", "")

    def show_piece(self, call: Call, arguments: str) -> None:
        call.arguments += arguments

    def show_result(self, event: Event, name: str) -> None:
        call = self.calls.get(name)
        if call is None:
            self.lost.append(event)
        elif event["type"] == "tool_call_output":
            call.output += event["output"]
        else:
            call.result = event["response"]


class MarchScreen(Screen):
    """March's terminal: the arguments so far come whole each time, and a result with its call."""

    def show_piece(self, call: Call, arguments: str) -> None:
        call.arguments = arguments

    def show_result(self, event: Event, name: str) -> None:
        super().show_result(event, event["tool_call"].get("id", ""))


class History:
    """The answers that were shown, by their ids. Used by both streams."""

    def __init__(self, messages: list[dict[str, Any]], screen: Screen) -> None:
        self.lock = threading.Lock()
        self._screen = screen
        self._content: dict[str, str] = {}
        self._complete: set[str] = set()
        self._asked: set[str] = set()
        self._unnamed = False
        for item in messages:
            if item["message"]["role"] == "assistant":
                name = item["message"].get("message_id", "")
                self._unnamed = self._unnamed or (not name and _is_plain_answer(item))
                self._content[name] = item["message"]["content"]
                self._complete.add(name)

    def deliver(self, event: Event) -> None:
        with self.lock:
            kind = event["type"]
            name = event.get({"elicitation_request": "elicitation_id"}.get(kind, "message_id"), "")
            if kind == "elicitation_request" and name and name in self._asked:
                return
            if kind == "agent_choice" and name and name in self._complete:
                return
            self._screen.show(event)
            if kind == "elicitation_request" and name:
                self._asked.add(name)
            elif kind == "agent_choice" and name:
                self._content[name] = self._content.get(name, "") + event["content"]
            elif kind == "agent_choice":
                self._unnamed = True

    def reconcile(self, snapshot: Mapping[str, Any]) -> None:
        """Shows what a snapshot has of answers beyond what was shown. AssertionError where it could not be sure."""
        with self.lock:
            assert not self._unnamed, "it can't tell which answers it has shown: messages have no ids"
            for item in filter(_is_plain_answer, snapshot["messages"]):
                name, whole = item["message"].get("message_id", ""), item["message"]["content"]
                shown = self._content.get(name, "")
                assert name, "an answer without an id"
                assert whole.startswith(shown), "an answer that changed"
                if rest := whole.removeprefix(shown):
                    self._screen.show({"type": "agent_choice", "content": rest, "message_id": name})
                self._content[name] = whole
                self._complete.add(name)


def _is_plain_answer(item: Mapping[str, Any]) -> bool:
    message = item["message"]
    return bool(message["role"] == "assistant" and message["content"] and not message.get("tool_calls"))
