"""A small client of our own that reads as strictly as the contract's: an event that the contract's client would drop
fails the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import requests

from tests.harness.strict_client import DECODERS, MAX_LINE, Promises, StrictClient, decode_as_sent

TIMEOUT = 30.0
PATIENCE = 60.0

Event = dict[str, Any]


class Stream:
    """An open event stream. Iterating yields events; `ids` collects the numbers, `raw` the bytes as they came.

    Heartbeats keep a stream open on which nothing will ever come: after `patience` seconds of them alone a test fails.
    """

    def __init__(self, response: requests.Response, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self.response = response
        self.ids: list[int] = []
        self.raw = bytearray()
        self.events: list[Event] = []
        self._promises = Promises() if "X-Run-ID" in response.headers else None
        self._reading = self._read()

    def __iter__(self) -> Iterator[Event]:
        """Goes on where the last loop stopped: leaving a loop must not hang up."""
        return iter(self._next, None)

    def _next(self) -> Event | None:
        return next(self._reading, None)

    def _read(self) -> Iterator[Event]:
        last = time.monotonic()
        for line in self._lines():
            if line.startswith(b":"):
                assert time.monotonic() - last < self._patience, (
                    f"nothing but heartbeats behind {[event['type'] for event in self.events]}"
                )
            elif line.startswith(b"id: "):
                self.ids.append(int(line[4:]))
            elif line.startswith(b"data: "):
                self.events.append(strictly(line))
                if self._promises is not None:
                    self._promises.see(self.events[-1])
                yield self.events[-1]
                last = time.monotonic()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self.response.iter_content(None):
            self.raw += chunk
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        assert not rest, f"the stream ended in the middle of a line: {rest[:80]!r}"

    def until(self, kind: str) -> Event:
        """Reads up to the first event of that type."""
        for event in self:
            if event["type"] == kind:
                return event
        raise AssertionError(f"the stream ended without {kind}: {[e['type'] for e in self.events]}")

    def rest(self) -> list[Event]:
        """Reads to the end; all events since the beginning."""
        for _ in self:
            pass
        assert_nothing_lost(bytes(self.raw), self.events)
        return self.events

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def hang_up(self) -> None:
        self.response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()


def strictly(line: bytes) -> Event:
    """One `data:` line as the contract's clients of both generations take it."""
    assert len(line) <= MAX_LINE, f"a line of {len(line)} bytes ends that client's stream"
    return decode_as_sent(line[6:])


def assert_nothing_lost(raw: bytes, events: Sequence[Event]) -> None:
    """The contract's clients have all these events out of the stream's bytes, or skip them on purpose."""
    for decoder in DECODERS:
        client = StrictClient(decoder)
        client.feed(raw)
        assert (client.dropped, client.cut_off) == ([], False)
        assert client.events == [event for event in events if event["type"] in decoder.known]
        assert len(client.events) + len(client.unknown) == len(events)


class Client:
    """One user of the server. Every call has a timeout; refusals are returned, not raised."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.http.request(method, self.url + path, timeout=TIMEOUT, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", path, json={} if body is None else body, **options)

    def new_session(self, **body: Any) -> str:
        response = self.post("/api/sessions", body)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def session(self, session_id: str) -> dict[str, Any]:
        response = self.get(f"/api/sessions/{session_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def messages(self, session_id: str) -> list[dict[str, Any]]:
        """The chat messages, without what is around them."""
        return [item["message"] for item in self.session(session_id).get("messages", [])]

    def try_run(
        self, session_id: str, text: str, *, agent: str = "plain", query: str = "", **options: Any
    ) -> requests.Response:
        """Starts a run, or is refused; an accepted one's response is an open stream."""
        return self.request(
            "POST",
            f"/api/sessions/{session_id}/agent/{agent}{query}",
            json=[{"role": "user", "content": text}],
            stream=True,
            **options,
        )

    def run(self, session_id: str, text: str, **options: Any) -> Stream:
        response = self.try_run(session_id, text, **options)
        assert response.status_code == 200, response.text
        return Stream(response)

    def say(self, session_id: str, text: str, **options: Any) -> list[Event]:
        """A whole run: all its events."""
        with self.run(session_id, text, **options) as stream:
            return stream.rest()

    def follow(self, session_id: str, *, since: int | None = None) -> Stream:
        """A reader of the session's events."""
        query = "" if since is None else f"?since={since}"
        response = self.get(f"/api/sessions/{session_id}/events{query}", stream=True)
        assert response.status_code == 200, response.text
        return Stream(response)

    def resume(self, session_id: str, confirmation: str, **more: Any) -> requests.Response:
        return self.post(f"/api/sessions/{session_id}/resume", {"confirmation": confirmation, **more})

    def close(self) -> None:
        self.http.close()


def text_of(events: Sequence[Mapping[str, Any]]) -> str:
    """The agent's text, from its deltas."""
    return "".join(event["content"] for event in events if event["type"] == "agent_choice")


def in_parallel(jobs: Sequence[Any]) -> list[Any]:
    """Calls all of them at once, each on a thread of its own that waits at a barrier; their results in order."""
    barrier = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def work(index: int) -> None:
        barrier.wait(TIMEOUT)
        try:
            results[index] = jobs[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT * 2)
    failures = [result for result in results if isinstance(result, BaseException)]
    assert not failures, failures[0]
    return results
