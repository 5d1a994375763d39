"""docker-agent's newest remote runtime, as far as a server can see it, and what its user is shown.

Written from what `pkg/runtime/remote_runtime.go` at 1c3a08b3 and `client.go` at 0d13d096 (fork Benehiko/docker-agent)
do. In a terminal it reads a snapshot before its first run, then follows the session's events from there on, beside the
streams of its runs; without a terminal it reads only those. It sends each run all that its user has said so far. It
knows doubles by their ids: an answer that a snapshot has, and a question that was shown. A piece of an answer that both
streams bring it shows twice.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.harness.client_screen import History, MarchScreen, Screen
from tests.harness.process import eventually
from tests.harness.strict_client import LATER, MARCH, Decoder, Event
from tests.harness.wire import Client, Stream

AGENT: Final = "Go-http-client/1.1"


class EventStream:
    """`…/events` since a cursor, over as many connections as it takes, until the session ends. A thread of its own
    reads it."""

    def __init__(
        self, url: str, session_id: str, since: int | None, deliver: Callable[[Event], None]
    ) -> None:
        self._url = url
        self._session_id = session_id
        self._deliver = deliver
        self.since = since
        self.opened = threading.Event()
        self.drop_at = ""  # the type of an event behind which the connection breaks, once
        self.connections = 0
        self.gaps = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="remote runtime", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Returns when the session has ended; raises what the reader met."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "the stream does not end with its session"
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while self._connect():
                pass
        except BaseException as failure:
            self.failure = failure
        finally:
            self.opened.set()

    def _connect(self) -> bool:
        """False if the session ended."""
        client = Client(self._url)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache", "User-Agent": AGENT}
        if self.since is not None:
            headers["Last-Event-ID"] = str(self.since)
        response = client.get(f"/api/sessions/{self._session_id}/events", stream=True, headers=headers)
        try:
            assert response.status_code == 200, response.text
            self.connections += 1
            self.opened.set()
            return self._read(Stream(response, patience=math.inf))
        finally:
            response.close()
            client.close()

    def _read(self, stream: Stream) -> bool:
        numbers = 0
        for event in stream:
            if event["type"] == "gap":
                self.gaps += 1
                raise AssertionError("a gap")
            if event["type"] == "session_exited":
                return False
            assert len(stream.ids) == numbers + 1, f"{event['type']} has no number: it can't resume behind it"
            numbers = len(stream.ids)
            if self.since is not None and stream.ids[-1] <= self.since:
                continue
            if event["type"] in LATER.known:
                self._deliver(event)
            self.since = stream.ids[-1]
            if event["type"] == self.drop_at:
                self.drop_at = ""
                return True
        return True


class RemoteRuntime:
    """One user's program. `screen` is what he sees, `logged` the refusals that only its log tells."""

    decoder: Decoder = LATER
    shows_on: type[Screen] = Screen
    meta_of = "docker-agent"

    def __init__(self, url: str, agent: str, *, follows: bool = True) -> None:
        self.client = Client(url)
        self.client.http.headers["User-Agent"] = AGENT
        self.screen = self.shows_on()
        self.logged: list[str] = []
        self.events: EventStream | None = None
        self.session_id = ""
        self._url = url
        self._agent = agent
        self._follows = follows
        self._history = History([], self.screen)
        self._said: list[str] = []
        self._pending: Event | None = None

    def new_session(self, **template: Any) -> str:
        self.session_id = self.client.new_session(**template)
        return self.session_id

    def watch(self, session_id: str, *, from_the_beginning: bool = False) -> None:
        """Follows a session in which somebody else speaks, from now on or with all that the server has kept."""
        self.session_id = session_id
        if not from_the_beginning:
            self._follow()
            return
        self.events = EventStream(self._url, self.session_id, None, self._deliver)
        assert self.events.opened.wait(30)

    def run(self, text: str) -> Iterator[Event]:
        """The events of a run, each of which has been shown when it comes."""
        if self._follows and self.events is None:
            self._follow()
        self._said.append(text)
        response = self.client.post(
            f"/api/sessions/{self.session_id}/agent/{self._agent}",
            self.body_of([{"role": "user", "content": one} for one in self._said]),
            stream=True,
            headers={"Accept": "text/event-stream", "Cache-Control": "no-cache"},
        )
        assert response.status_code == 200, response.text
        stopped = False
        with Stream(response) as stream:
            for event in stream:
                stopped = stopped or (
                    event["type"] == "stream_stopped" and event["session_id"] == self.session_id
                )
                if event["type"] in self.decoder.known:
                    self._deliver(event)
                yield event
        assert stopped, "the stream ended before completion"

    def body_of(self, messages: list[dict[str, str]]) -> Any:
        return {"messages": messages}

    def say(self, text: str) -> list[Event]:
        return list(self.run(text))

    def steer(self, text: str) -> None:
        self._post("steer", {"messages": [{"role": "", "content": text}]})

    def follow_up(self, text: str) -> None:
        self._post("followup", {"messages": [{"role": "", "content": text}]})

    def resume(self, confirmation: str, **more: str) -> None:
        """A refusal is only logged."""
        answer = self.client.resume(self.session_id, confirmation, **more)
        if answer.status_code >= 400:
            self.logged.append(answer.text)

    def authorize(self, token: Mapping[str, Any]) -> None:
        """The user says yes to the question that is shown; what the browser does then is here a `token`. Each answer of
        this client first goes this way, whatever was asked; then it answers once more, and that may be refused."""
        assert self._pending is not None
        meta = self._pending.get("meta", {})
        name = self._pending.get("elicitation_id", "")
        for key, kind in ((f"{self.meta_of}/server_url", str), ("auth_server_metadata", dict)):
            if not isinstance(meta.get(key), kind):
                self._elicit("decline", None, name)
                raise AssertionError(f"{key} missing from elicitation metadata")
        if not meta["auth_server_metadata"].get("registration_endpoint"):
            self._elicit("decline", None, name)
            raise AssertionError("authorization server does not support dynamic client registration")
        self._post_elicitation("accept", token, name)
        self._elicit("accept", {}, name)

    def close(self) -> None:
        """Ends the session too: that ends its followers."""
        self.client.request("DELETE", f"/api/sessions/{self.session_id}")
        if self.events is not None:
            self.events.join()
        self.client.close()

    def caught_up(self, number: int) -> None:
        """Returns when the events up to that one have come by the second stream."""
        events = self.events
        assert events is not None
        eventually(
            lambda: events.failure is not None or (events.since or 0) >= number,
            f"event {number} comes by the session's stream",
        )

    def recover(self) -> None:
        """Shows what a snapshot has beyond what it has shown, as after a gap."""
        self._history.reconcile(self._snapshot())

    def _snapshot(self) -> dict[str, Any]:
        answer = self.client.get(f"/api/sessions/{self.session_id}/snapshot")
        assert answer.status_code == 200, answer.text
        snapshot = dict(answer.json())
        assert snapshot["id"] == self.session_id
        assert not snapshot["streaming"], "no safe place to begin"
        return snapshot

    def _follow(self) -> None:
        snapshot = self._snapshot()
        self._history = History(snapshot["messages"], self.screen)
        self.events = EventStream(self._url, self.session_id, snapshot["last_event_seq"], self._deliver)
        assert self.events.opened.wait(30)

    def _deliver(self, event: Event) -> None:
        if event["type"] == "elicitation_request":
            self._pending = event
        self._history.deliver(event)

    def _post(self, what: str, body: Any) -> None:
        answer = self.client.post(f"/api/sessions/{self.session_id}/{what}", body)
        assert answer.status_code < 400, answer.text

    def _post_elicitation(self, action: str, content: Any, name: str) -> None:
        more = {"elicitation_id": name} if name else {}
        self._post("elicitation", {"action": action, "content": content, **more})

    def _elicit(self, action: str, content: Any, name: str) -> None:
        more = {"elicitation_id": name} if name else {}
        body = {"action": action, "content": content, **more}
        answer = self.client.post(f"/api/sessions/{self.session_id}/elicitation", body)
        if answer.status_code >= 400:
            self.logged.append(answer.text)


class MarchRuntime(RemoteRuntime):
    """The same program as it was in March 2026 (`pkg/runtime/remote_runtime.go` and `client.go` at 0d76412a): one
    stream, which is its run's, and no word to a run but answers."""

    decoder = MARCH
    shows_on = MarchScreen
    meta_of = "cagent"

    def __init__(self, url: str, agent: str) -> None:
        super().__init__(url, agent, follows=False)

    def body_of(self, messages: list[dict[str, str]]) -> Any:
        return messages

    def _elicit(self, action: str, content: Any, name: str) -> None:
        super()._elicit(action, content, "")

    def _post_elicitation(self, action: str, content: Any, name: str) -> None:
        super()._post_elicitation(action, content, "")
