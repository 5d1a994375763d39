"""A user who reaches a session through the Managed Agents API, as the official SDK does, and wants it to work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from werkzeug.test import TestResponse

from app.managed_ids import id_of, number_in
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.walk.person import BOUND, Broken, Event, Person, Refused, Silence

HEADERS: Final = {"anthropic-version": "2023-06-01", "anthropic-beta": "managed-agents-2026-04-01"}
RESULTS: Final = {
    "agent.tool_use": "user.tool_confirmation",
    "agent.custom_tool_use": "user.custom_tool_result",
}


def new_session(client: LocalClient, agent: Mapping[str, Any]) -> str:
    """The number of a new session of such an agent."""
    made = _call(client, "agents", {"name": "walk", "model": "claude-sonnet-5-5", **agent})
    environment = _call(client, "environments", {"name": "walk"})
    session = _call(client, "sessions", {"agent": made, "environment_id": environment})
    return str(number_in("sesn", session))


def _call(client: LocalClient, what: str, body: Mapping[str, Any]) -> str:
    return str(client.call("POST", f"/v1/{what}", body, headers=HEADERS)["id"])


class Stream:
    """Read on where it was left, also in the middle of what came at once."""

    def __init__(self, response: TestResponse) -> None:
        self.events = events(response)
        self.close = response.close


class ManagedClient(Person):
    """As a person at the other door, who answers what is asked and talks again."""

    @property
    def path(self) -> str:
        return f"/v1/sessions/{id_of('sesn', UUID(self.session))}/events"

    def send(self, *events: Mapping[str, Any]) -> None:
        """Refused."""
        response = self.client.ask("POST", self.path, {"events": events}, headers=HEADERS)
        self._judge(response, "events")
        if response.status_code != 200:
            raise Refused(response.get_data(as_text=True))

    def say(self, text: str) -> None:
        self.send({"type": "user.message", "content": [{"type": "text", "text": text}]})

    def listed(self) -> list[Event]:
        """Refused."""
        response = self.client.ask("GET", self.path, headers=HEADERS)
        self._judge(response, "events")
        if response.status_code != 200:
            raise Refused(response.get_data(as_text=True))
        return list(response.get_json()["data"])

    def stream(self) -> Stream:
        """Refused."""
        response = self.client.ask("GET", f"{self.path}/stream?event_deltas=agent.message", headers=HEADERS)
        return Stream(self.accepted(response, "stream"))

    def until_idle(self, stream: Stream, *, interrupts: str = "") -> Event:
        """Reads up to the session's next idleness, and returns its reason; an event of the type `interrupts` is
        followed by an interrupt. Broken."""
        silence, previewed = Silence(self), set[str]()
        try:
            for event in stream.events:
                if event is None:
                    if silence.lasts():
                        raise Broken("silence")
                    continue
                silence.over()
                self._check(event, previewed)
                self.see(event)
                if event["type"] == interrupts:
                    self.send({"type": "user.interrupt"})
                if event["type"] == "session.status_idle":
                    return dict(event["stop_reason"])
        except (Refused, Broken):
            raise
        except Exception as error:
            raise Broken(repr(error)) from error
        raise Broken("the stream has ended")

    def _check(self, event: Event, previewed: set[str]) -> None:
        """A preview comes before the event that tells the message."""
        if event["type"] == "event_start":
            previewed.add(event["event"]["id"])
        elif event["type"] == "event_delta" and event["event_id"] not in previewed:
            self.problems.append(f"a piece came without its beginning: {event}")
        elif event["type"] == "agent.message":
            previewed.discard(event["id"])

    # ---- as a person

    def answer(self) -> None:
        """Confirms or makes each call that the session is idle for."""
        try:
            if (run := self.live_run()) is None or run.waiting_for is None:
                return
            told = self.listed()
            idle = [event for event in told if event["type"] == "session.status_idle"]
            done = {one for event in told if (one := _answered(event))}
            asked = [one for one in idle[-1]["stop_reason"].get("event_ids", ()) if one not in done]
            uses = {event["id"]: event["type"] for event in told}
            if asked:
                self.send(*(answer_to(use, uses[use]) for use in asked))
        except Exception:
            return  # it tries again

    def speak(self, words: str, *, seconds: float = BOUND, **_headers: str) -> None:
        try:
            eventually(lambda: self._tells(f"[calm][say {words}]"), "a message is let in", seconds=seconds)
            eventually(lambda: self._has_said(words), "it is answered", seconds=seconds)
            self.settle()
        except AssertionError as error:
            self.problems.append(f"the session does not work any more: {error}")

    def take_over(self) -> None:
        """Says something, which is answered by whoever has the session then. Refused."""
        self.say("[calm][say mine now]")
        eventually(lambda: self._has_said("mine now"), "it is answered", seconds=BOUND)

    def _tells(self, text: str) -> bool:
        self.answer()
        try:
            self.say(text)
        except Refused:
            return False
        return True

    def _has_said(self, words: str) -> bool:
        self.answer()
        try:
            told = self.listed()
        except Refused:
            return False
        texts = [
            part["text"] for event in told if event["type"] == "agent.message" for part in event["content"]
        ]
        return told[-1]["type"] == "session.status_idle" and words in texts


def answer_to(use: str, kind: str) -> Event:
    if kind == "agent.custom_tool_use":
        content = [{"type": "text", "text": f"Result of {use}."}]
        return {"type": "user.custom_tool_result", "custom_tool_use_id": use, "content": content}
    return {"type": "user.tool_confirmation", "tool_use_id": use, "result": "allow"}


def _answered(event: Event) -> str:
    if event["type"] not in RESULTS.values():
        return ""
    return str(event.get("tool_use_id") or event["custom_tool_use_id"])


def events(response: TestResponse) -> Iterator[Event | None]:
    """None for a heartbeat."""
    for chunk in response.iter_encoded():
        for frame in chunk.split(b"\n\n"):
            for line in frame.split(b"\n"):
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
            if frame.startswith(b":"):
                yield None
