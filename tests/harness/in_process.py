"""A client of a server in this very process: the bytes that would leave it, without a socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import Server
from tests.harness.process import eventually
from tests.harness.strict_client import Promises
from tests.harness.wire import Event, assert_nothing_lost, strictly


class LocalStream:
    """An open event stream. Iterating goes on where the last loop stopped."""

    def __init__(self, response: TestResponse) -> None:
        self.response = response
        self.ids: list[int] = []
        self.raw = bytearray()
        self.events: list[Event] = []
        self._promises = Promises() if "X-Run-ID" in response.headers else None
        self._reading = self._read()

    def __iter__(self) -> Iterator[Event]:
        return iter(lambda: next(self._reading, None), None)

    def _read(self) -> Iterator[Event]:
        for chunk in self.response.iter_encoded():
            assert chunk.endswith(b"\n\n"), "a chunk ends with a whole frame"
            self.raw += chunk
            for line in chunk.split(b"\n"):
                if line.startswith(b"id: "):
                    self.ids.append(int(line[4:]))
                elif line.startswith(b"data: "):
                    self.events.append(strictly(line))
                    if self._promises is not None:
                        self._promises.see(self.events[-1])
                    yield self.events[-1]

    def until(self, kind: str) -> Event:
        for event in self:
            if event["type"] == kind:
                return event
        raise AssertionError(f"the stream ended without {kind}: {self.types}")

    def rest(self) -> list[Event]:
        for _ in self:
            pass
        assert_nothing_lost(bytes(self.raw), self.events)
        return self.events

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hangs up."""
        self.response.close()


class LocalClient:
    """One user, with his token. Answers are JSON; `expect` is the status that a call must have."""

    def __init__(self, server: Server, *, token: str = "") -> None:
        self.server = server
        self._http: FlaskClient = server.app.test_client()
        if token:
            self._http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """The whole response, whatever it says. A server closes what it has sent; this client does so too, but for a
        stream."""
        response = self._http.open(path, method=method, json=body, headers=headers)
        if response.mimetype == "application/json":
            response.get_data()
            response.close()
        return response

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        response = self.ask(method, path, body, headers=headers)
        assert response.status_code == expect, response.get_data(as_text=True)
        return response.get_json()

    def new_session(self, **body: Any) -> str:
        return str(self.call("POST", "/api/sessions", body)["id"])

    def session(self, session_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/api/sessions/{session_id}"))

    def messages(self, session_id: str) -> list[dict[str, Any]]:
        """The chat messages, without what is around them."""
        return [item["message"] for item in self.session(session_id).get("messages", [])]

    def open(self, path: str, body: Any, environ: Mapping[str, Any]) -> TestResponse:
        """Posts, as a client of HTTP/1.1 whose connection has these marks, and leaves the response open."""
        marks = {"SERVER_PROTOCOL": "HTTP/1.1", **environ}
        return self._http.post(path, json=body, environ_overrides=marks, buffered=False)

    def try_run(
        self,
        session_id: str,
        *texts: str,
        agent: str = "plain",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Starts a run, or is refused; an accepted one's response is an open stream."""
        return self._http.post(
            f"/api/sessions/{session_id}/agent/{agent}{query}",
            json=[{"role": "user", "content": text} for text in texts],
            headers=headers,
            buffered=False,
        )

    def run(
        self,
        session_id: str,
        *texts: str,
        agent: str = "plain",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> LocalStream:
        response = self.try_run(session_id, *texts, agent=agent, query=query, headers=headers)
        assert response.status_code == 200, response.get_data(as_text=True)
        return LocalStream(response)

    def follow(
        self,
        session_id: str,
        *,
        since: int | None = None,
        begin: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> LocalStream:
        """A reader of the session's events."""
        query = {name: value for name, value in (("since", since), ("from", begin)) if value is not None}
        path = f"/api/sessions/{session_id}/events"
        response = self._http.get(path, query_string=query, headers=headers, buffered=False)
        assert response.status_code == 200, response.get_data(as_text=True)
        return LocalStream(response)

    def say(self, session_id: str, text: str, *, agent: str = "plain") -> list[Event]:
        """A whole run: all its events."""
        with self.run(session_id, text, agent=agent) as stream:
            return stream.rest()

    def resume(
        self, session_id: str, confirmation: str, more: Mapping[str, Any] | None = None, *, expect: int = 200
    ) -> Any:
        body = {"confirmation": confirmation, **(more or {})}
        return self.call("POST", f"/api/sessions/{session_id}/resume", body, expect=expect)

    def elicit(self, session_id: str, action: str, content: Mapping[str, Any] | None = None) -> None:
        self.call("POST", f"/api/sessions/{session_id}/elicitation", {"action": action, "content": content})

    def stop(self, session_id: str) -> None:
        """Cancels the session's run, unless it is over already."""
        response = self._http.post(f"/api/sessions/{session_id}/cancel?wait=10", json={})
        assert response.status_code == 200 or response.get_json()["code"] == "not_running"

    def wait_until_free(self, session_id: str) -> None:
        eventually(lambda: self.server.runtime.runs.find(session_id) is None, "the session is free")
