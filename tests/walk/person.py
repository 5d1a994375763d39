"""A user of one session who wants it to work: answers what is asked, and talks again as soon as it is let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from werkzeug.test import TestResponse

from app.conversation.run import Run
from app.errors import AppError
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.strict_client import Promises, decode_as_sent
from tests.walk.connection import SocketResponse

BOUND: Final = 10.0
"""Seconds within which a session must be free, however its run was hurt: a lease, and what all patience adds to it."""

FREE_BEATS: Final = 30
"""Heartbeats of a stream whose session is free, after which its reader was forgotten. The database may be away for half
of them."""

SILENT_BEATS: Final = 60

Event = dict[str, Any]
R = TypeVar("R", TestResponse, SocketResponse)


class Refused(Exception):
    """The request was answered with an error, in Baton's own words; nothing was begun."""


class Broken(Exception):
    """The stream broke off, as if the connection were lost."""


@dataclass
class Person:
    """Owned by one thread. `problems` is what must never happen to a user; `see` is told of each event."""

    client: LocalClient
    session: str
    agent: str = "walk"
    see: Callable[[Event], None] = lambda _event: None
    problems: list[str] = field(default_factory=list)
    told_the_end: bool = False  # the last stream that was read came to the end of its run

    # ---- asking

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> TestResponse:
        response = self.client.ask("POST", f"/api/sessions/{self.session}/{path}", body, headers=headers)
        self._judge(response, path)
        return response

    def run(self, text: str, *, query: str = "", headers: Mapping[str, str] | None = None) -> TestResponse:
        """An open stream. Refused."""
        response = self.client.try_run(self.session, text, agent=self.agent, query=query, headers=headers)
        return self.accepted(response, "run")

    def begin(self, what: str, body: Mapping[str, Any], *, key: str = "") -> str:
        """The id of the run that a request without words of the user began. Refused."""
        response = self.post(what, body, {"Idempotency-Key": key} if key else None)
        if response.status_code != 202:
            raise Refused(response.get_data(as_text=True))
        return response.headers["Location"].rpartition("/")[2]

    def toggle_pause(self) -> bool:
        """Is the session's run, or its next one, paused from now on? Refused."""
        response = self.post("pause", None)
        if response.status_code != 200:
            raise Refused(response.get_data(as_text=True))
        return bool(response.get_json()["paused"])

    def follow(self, after: int) -> TestResponse:
        response = self.client.ask("GET", f"/api/sessions/{self.session}/events?since={after}")
        return self.accepted(response, "events")

    def accepted(self, response: R, what: str) -> R:
        """The same, if it is an open stream. Refused."""
        self._judge(response, what)
        if response.status_code != 200:
            words = response.get_data(as_text=True)
            response.close()
            raise Refused(words)
        return response

    def _judge(self, response: TestResponse | SocketResponse, what: str) -> None:
        if response.status_code >= 500 and response.status_code != 503:
            self.problems.append(
                f"{what} was answered {response.status_code}: {response.get_data(True)[:200]}"
            )

    # ---- reading

    def read(
        self,
        response: TestResponse | SocketResponse,
        *,
        most: int | None = None,
        until: str = "",
        **react: Callable[[], object],
    ) -> int:
        """Reads to the end, or an event of the type `until`, or `most` events; `react` are things to do at an event
        of a type. A question that stays open is answered after a while. Returns the number of the last event.
        Broken."""
        last = seen = 0
        kind = ""
        silence = Silence(self)
        promises = Promises() if "X-Run-ID" in response.headers else None
        try:
            for number, event in frames(response):
                if event is None:
                    if silence.lasts():
                        return last
                    continue
                silence.over()
                last, seen, kind = number or last, seen + 1, event["type"]
                self.told_the_end = kind == "stream_stopped"
                self.see(event)
                if promises is not None:
                    promises.see(event)
                if kind in react:
                    react[kind]()
                if kind == until or seen == most:
                    return last
            if kind != "stream_stopped" and not self.client.server.runtime.runs.draining:
                self.problems.append(f"a stream ended without its last event, with {kind} ({last})")
        except AssertionError as error:
            self.problems.append(f"a reader was shown something wrong: {error}")
        except Exception as error:
            raise Broken(repr(error)) from error
        finally:
            response.close()
        return last

    # ---- answering

    def live_run(self) -> Run | None:
        return self.client.server.store.runs.live_run(self.session)

    def answer(self) -> None:
        """Says yes to whatever the session's run waits for; nothing if it waits for nothing."""
        try:
            run = self.live_run()
        except AppError:
            return
        if run is None or run.waiting_for is None:
            return
        if run.waiting_for.kind == "elicitation":
            self.post("elicitation", {"action": "accept", "content": {}})
        elif run.is_paused:
            self.post("pause", None)
        else:
            self.post("resume", {"confirmation": "approve", "call_id": run.waiting_for.call_id})

    def change(self) -> None:
        """Approves the call that the session's run waits for, with another name to write down."""
        try:
            run = self.live_run()
        except AppError:
            return
        if run is not None and run.waiting_for is not None and run.waiting_for.kind == "approval":
            asked = run.waiting_for
            changed = {"name": f"{asked.details['arguments']['name']}-changed"}
            body = {"confirmation": "approve", "call_id": asked.call_id, "arguments": changed}
            self.post("resume", body)

    def take_over(self) -> None:
        """A message to a session that another process may have. Refused, Broken."""
        self.read(self.run("[calm][say mine now]"))

    def is_free(self) -> bool:
        runtime = self.client.server.runtime
        return runtime.runs.find(self.session) is None and self.session not in runtime.locks.held()

    def settle(self) -> None:
        """Until the session's run, if this process has one, has ended."""

        def settled() -> bool:
            if self.is_free():
                return True
            self.answer()
            return False

        try:
            eventually(settled, f"the session is free; it is held by {self._holder()}", seconds=BOUND)
        except AssertionError as error:
            self.problems.append(str(error))

    def _holder(self) -> str:
        live = self.client.server.runtime.runs.find(self.session)
        return "nobody's run" if live is None else f"a run that is {live.status}"

    def speak(self, words: str, *, seconds: float = BOUND, **headers: str) -> None:
        """One more short run, which must be let in within so many seconds and succeed."""
        refusals: list[str] = []

        def try_it() -> TestResponse | None:
            self.answer()
            try:
                return self.run(f"[calm][say {words}]", headers=headers)
            except Refused as refusal:
                refusals.append(str(refusal))
                return None

        try:
            response = eventually(try_it, "a message is let in", seconds=seconds)
            heard: list[Event] = []
            see, self.see = self.see, heard.append
            self.read(
                response,
                tool_call_confirmation=self.answer,
                elicitation_request=self.answer,
                runtime_paused=self.answer,
            )
            self.see = see
            self.settle()
            said = "".join(event["content"] for event in heard if event["type"] == "agent_choice")
            if errors := [event for event in heard if event["type"] == "error"]:
                self.problems.append(f"the next message failed: {errors}")
            elif words not in said:
                self.problems.append(f"the next message was answered: {said!r}")
        except (AssertionError, Broken) as error:
            self.problems.append(f"the session does not work any more: {error} {refusals[-1:]}")


class Silence:
    """How many heartbeats a stream has sent since it said anything. Counted, not timed: a process that was stopped
    has been silent for no reason of its own."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._beats = 0
        self._free = 0

    def over(self) -> None:
        self._beats = self._free = 0

    def lasts(self) -> bool:
        """One more heartbeat; true if nothing will come any more, which is a problem."""
        self._beats += 1
        self._free = self._free + 1 if self._person.is_free() else 0
        if self._free > FREE_BEATS:
            self._person.problems.append("a reader was never told that the run has ended")
        elif self._beats > SILENT_BEATS:
            self._person.problems.append(f"a stream said nothing in {SILENT_BEATS} heartbeats")
        else:
            self._person.answer()
            return False
        return True


def frames(response: TestResponse | SocketResponse) -> Iterator[tuple[int, Event | None]]:
    """Numbers and events; 0 for an event that has no number, None for a heartbeat."""
    for chunk in response.iter_encoded():
        for frame in chunk.split(b"\n\n"):
            lines = dict(line.partition(b": ")[::2] for line in frame.split(b"\n") if line)
            if b"data" in lines:
                yield int(lines.get(b"id", 0)), decode_as_sent(lines[b"data"])
            elif frame.startswith(b":"):
                yield 0, None
