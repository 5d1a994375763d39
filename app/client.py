"""A client of Baton's API for scripts, on `requests`. It imports nothing else of this package.

    from app.client import Baton, Text, ToolApproval

    baton = Baton("http://127.0.0.1:8080")
    with baton.run(baton.create_session()["id"], "What is in this directory?", agent="coder") as run:
        for event in run:
            match event:
                case Text(text=text):
                    print(text, end="")
                case ToolApproval(call_id=call_id):
                    run.approve(call_id)

What it promises: a run whose connection drops is attached to again, and no event is lost or comes twice (what the
server itself has lost is a `Gap`). Calls that fail on their way are repeated for `retry_seconds`, and nothing happens
twice by it. Nothing waits for ever: the server sends a byte every 15 s, and whoever is silent for longer is gone.

A `Baton` belongs to one thread at a time; threads that share nothing may each have one.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import quote

import requests

Json = dict[str, Any]
Message = str | Sequence[Mapping[str, Any]]
"""A text, or messages in the API's own form."""

LIVE: Final = ("running", "awaiting_approval", "awaiting_input")
TEMPORARY: Final = ("server_full", "draining", "store_unavailable", "")
"""Codes of a 503 that is worth another try; a proxy's answer has none."""

GARBLED_ATTEMPTS: Final = 3
"""An answer that is none of Baton's was cut, or comes from another kind of server; soon it must be the latter."""

PIECE: Final = 512
"""Bytes read at once; a connection that breaks within them takes them along."""


class BatonError(Exception):
    """The server refused. `code` is the stable word for it, `body` all that it said."""

    def __init__(self, message: str, *, status: int = 0, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Mapping[str, Any] = body or {}

    @property
    def code(self) -> str:
        return str(self.body.get("code") or "")

    @property
    def request_id(self) -> str:
        """To be searched for in the server's log."""
        return str(self.body.get("request_id") or "")


class SessionBusy(BatonError):
    """Somebody else has the session. `code` says what he does: `session_busy`, `awaiting_approval`,
    `awaiting_input` or `stopping`."""

    @property
    def holder(self) -> Json:
        """The run that has it: its `id`, `agent`, `status`, `started_at`, `waiting_for`…; empty when it is so
        new that the server could not say."""
        return dict(self.body.get("run") or {})


class NotFound(BatonError):
    """No such session, agent, run or message; or it is somebody else's."""


class NotAllowed(BatonError):
    """A missing or wrong token, a wrong host name."""


class Conflict(BatonError):
    """It makes sense, but not now: see `code`."""


class Unavailable(BatonError):
    """The server can't be reached, or has no room; for longer than `retry_seconds`."""


class RunFailed(BatonError):
    """The run ended with an error. For `Run.text`, which has no other way to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the server told. Types that this client does not know come as this class.

    `id` counts the session's events; None for one that must not move a cursor.
    """

    type: str
    id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def session_id(self) -> str:
        return str(self.data.get("session_id") or "")

    @property
    def agent(self) -> str:
        return str(self.data.get("agent_name") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Event):
    """A piece of the agent's answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking(Event):
    """A piece of its thinking."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage(Event):
    """Somebody's message is in the conversation. `message_id` is that of a message that had waited."""

    text: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfCall(Event):
    call_id: str
    tool: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolApproval(_OfCall):
    """May this call run? `Run.approve` or `Run.reject`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(_OfCall):
    """It runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult(_OfCall):
    """What it answered."""

    response: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreIterations(Event):
    """The agent has made as many model calls as it may. Shall it go on? `Run.approve` or `Run.reject`."""

    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Event):
    """A form to be filled in: `Run.elicit`."""

    text: str
    schema: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something is missing or was cut."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """What failed; the end follows."""

    text: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Event):
    """The server itself has lost what was between the last event and `first_available`: read the session."""

    first_available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """The end of a run, or of a task that was delegated within it; tell them apart by `session_id`."""


def event_of(data: Mapping[str, Any], number: int | None = None) -> Event:
    """The event of one `data:` object. Whatever it is, it is an event."""
    kind = str(data.get("type") or "")
    base: Json = {"type": kind, "id": number, "data": data}
    match kind:
        case "agent_choice":
            return Text(**base, text=_text(data, "content"))
        case "agent_choice_reasoning":
            return Thinking(**base, text=_text(data, "content"))
        case "user_message":
            return UserMessage(**base, text=_text(data, "message"), message_id=_text(data, "message_id"))
        case "tool_call_confirmation":
            return ToolApproval(**base, **_call(data))
        case "tool_call":
            return ToolCall(**base, **_call(data))
        case "tool_call_response":
            failed = bool((data.get("result") or {}).get("isError"))
            return ToolResult(**base, **_call(data), response=_text(data, "response"), failed=failed)
        case "max_iterations_reached":
            return MoreIterations(**base, most=int(data.get("max_iterations") or 0))
        case "elicitation_request":
            return Form(**base, text=_text(data, "message"), schema=data.get("schema"))
        case "warning":
            return Warned(**base, text=_text(data, "message"))
        case "error":
            return Failed(**base, text=_text(data, "error"), code=_text(data, "code"))
        case "gap":
            return Gap(**base, first_available=int(data.get("first_available") or 0))
        case "stream_stopped":
            return Stopped(**base)
    return Event(**base)


def _text(data: Mapping[str, Any], key: str) -> str:
    return str(data.get(key) or "")


def _call(data: Mapping[str, Any]) -> Json:
    call = data.get("tool_call") or {}
    function = call.get("function") or {}
    return {
        "call_id": _text(call, "id"),
        "tool": _text(function, "name"),
        "arguments": _text(function, "arguments"),
    }


class _Bearer(requests.auth.AuthBase):
    """Unlike a header, it is not overruled by a `.netrc`."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Baton:
    """One server. Times are in seconds: `connect_seconds` to get a connection, `idle_seconds` between two bytes of
    an answer, `retry_seconds` for how long a call that fails on its way, or a dropped stream, is tried again."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 40.0,
        retry_seconds: float = 60.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.retry_seconds = retry_seconds
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._http = requests.Session()
        self._http.auth = _Bearer(token)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # sessions

    def create_session(
        self,
        *,
        working_dir: str | None = None,
        tools_approved: bool = False,
        permissions: Mapping[str, Sequence[str]] | None = None,
        max_iterations: int = 0,
    ) -> Json:
        body = {
            "working_dir": working_dir,
            "tools_approved": tools_approved,
            "permissions": permissions,
            "max_iterations": max_iterations,
        }
        return self._object("POST", "/api/sessions", body, key=new_key())

    def import_session(self, exported: Mapping[str, Any]) -> Json:
        """A new session with the title, settings and messages of what `session` returned, here or elsewhere."""
        return self._object("POST", "/api/sessions/import", exported, key=new_key())

    def sessions(self) -> list[Json]:
        """Newest first, without their messages."""
        return self._list("/api/sessions")

    def session(self, session_id: str) -> Json:
        """With its messages, and with `run` while one is at work."""
        return self._object("GET", _path("sessions", session_id))

    def rename_session(self, session_id: str, title: str) -> None:
        self._object("PATCH", _path("sessions", session_id, "title"), {"title": title})

    def set_permissions(self, session_id: str, permissions: Mapping[str, Sequence[str]] | None) -> None:
        self._object("PATCH", _path("sessions", session_id, "permissions"), {"permissions": permissions})

    def delete_session(self, session_id: str) -> None:
        """Stops its run first."""
        self._call("DELETE", _path("sessions", session_id), gone_is_done=True)

    def agents(self) -> list[Json]:
        return self._list("/api/agents")

    def ready(self) -> None:
        """Returns if the server wants work; else Unavailable, at once."""
        self._call("GET", "/ready", retried=False)

    # runs

    def run(
        self,
        session_id: str,
        message: Message,
        *,
        agent: str = "assistant",
        when_busy: Literal["reject", "wait", "interrupt"] = "reject",
        wait_seconds: float = 60.0,
        if_last_position: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Starts a run and returns its events. `agent` is `FILE` or `FILE/NAME`. SessionBusy if somebody else has
        the session, and goes on having it for `wait_seconds` with `when_busy`. With `if_last_position` the run is
        refused (409 or 412) if there are messages after it.

        The run goes on without its reader, as it must if a reader is to come back: leave it by `with`, or by
        `Run.cancel`, or on purpose."""
        start = _Start(
            _path("sessions", session_id, "agent", *agent.split("/", 1)),
            _messages(message),
            {"when_busy": when_busy, "wait_timeout": f"{wait_seconds:g}", "on_disconnect": "continue"},
            idempotency_key or new_key(),
            {} if if_last_position is None else {"If-Match": str(if_last_position)},
        )
        patience = 0.0 if when_busy == "reject" else wait_seconds
        return Run(self, session_id, lambda: self._begin(start, patience))

    def attach(self, run_id: str) -> Run:
        """The events of a run that somebody else has started, from its beginning. Conflict if it has ended."""
        session_id = str(self.get_run(run_id)["session_id"])

        def open_at_beginning() -> requests.Response:
            response = self._events(session_id, None)
            try:
                live = self.get_run(run_id)["status"] in LIVE
            except BaseException:
                response.close()
                raise
            if not live:  # the reader may have come too late, and would see another run
                response.close()
                raise Conflict("the run has ended", body={"code": "not_running"})
            return response

        return Run(self, session_id, open_at_beginning, run_id=run_id)

    def events(self, session_id: str, after: int | None = None) -> Iterator[Event]:
        """A session's events, of this run and all later ones, until the session is deleted. `after` is the `id`
        of the last event that you have seen; None: from the beginning of the run at work, or what comes next."""
        return _Reader(self, session_id, lambda: self._events(session_id, after), after)

    def runs(
        self,
        *,
        status: Sequence[str] = (),
        session: str | None = None,
        holder: str | None = None,
        older_than: float | None = None,
    ) -> list[Json]:
        """Newest first, at most 100."""
        query = {"status": ",".join(status) or None, "session": session, "holder": holder}
        return self._list("/api/runs", {**query, "older_than": older_than})

    def get_run(self, run_id: str) -> Json:
        return self._object("GET", _path("runs", run_id))

    def cancel(
        self,
        session_id: str,
        *,
        run_id: str | None = None,
        wait_seconds: float = 10.0,
        at_safe_point: bool = False,
    ) -> Json:
        """Stops the session's run, if it is that one, and waits for its end; returns the run as it is then.
        Conflict if there is none."""
        query = {"wait": wait_seconds, "at": "safe_point" if at_safe_point else None}
        body = {"run_id": run_id} if run_id else {}
        answer = self._object(
            "POST", _path("sessions", session_id, "cancel"), body, query, patience=wait_seconds
        )
        return dict(answer.get("run") or {})

    def release(self, run_id: str, reason: str = "") -> Json:
        """Takes the session away from a run, whatever its process does."""
        answer = self._object("POST", _path("runs", run_id, "release"), {"reason": reason}, retried=False)
        return dict(answer.get("run") or {})

    # answers

    def approve(
        self,
        session_id: str,
        call_id: str | None = None,
        *,
        remember: Literal["", "tool", "session"] = "",
    ) -> None:
        """Lets a call run; with `remember` every later one of that tool, or all later ones of the session.
        Without `call_id` it is whatever is asked at that moment."""
        self._resume(session_id, call_id, {"confirmation": f"approve-{remember}".rstrip("-")})

    def reject(self, session_id: str, call_id: str | None = None, *, reason: str = "") -> None:
        """The model reads the reason."""
        self._resume(session_id, call_id, {"confirmation": "reject", "reason": reason})

    def elicit(
        self,
        session_id: str,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
        call_id: str | None = None,
    ) -> None:
        """Fills in a form, or declines to."""
        self._answer(
            _path("sessions", session_id, "elicitation"),
            call_id,
            {"action": action, "content": content},
            action,
        )

    # messages that wait

    def steer(self, session_id: str, message: Message) -> list[Json]:
        """A message for the run at work; Conflict if there is none. Returns what waits by it."""
        return self._enqueue(session_id, "steer", message)

    def follow_up(self, session_id: str, message: Message) -> list[Json]:
        """A message that gets a turn of its own afterwards."""
        return self._enqueue(session_id, "followup", message)

    def queue(self, session_id: str) -> list[Json]:
        return list(self._object("GET", _path("sessions", session_id, "queue"))["messages"])

    def withdraw(self, session_id: str, message_id: str) -> None:
        """Takes a message out of the queue; Conflict if it is in the conversation already."""
        self._call("DELETE", _path("sessions", session_id, "queue", message_id), gone_is_done=True)

    def _enqueue(self, session_id: str, kind: str, message: Message) -> list[Json]:
        path = _path("sessions", session_id, kind)
        return list(self._object("POST", path, _messages(message), key=new_key())["messages"])

    def _resume(self, session_id: str, call_id: str | None, body: Json) -> None:
        self._answer(_path("sessions", session_id, "resume"), call_id, body, body["confirmation"])

    def _answer(self, path: str, call_id: str | None, body: Json, decision: str) -> None:
        """An answer that names its call may be repeated; another one might answer a question nobody has seen."""
        attempts = _Attempts()
        try:
            self._call("POST", path, {**body, "call_id": call_id}, retried=bool(call_id), attempts=attempts)
        except Conflict as error:
            ours = error.code == "answered_already" and error.body.get("decision") == decision
            if attempts.number < 2 or not ours:
                raise

    # requests

    def _begin(self, start: _Start, patience: float) -> requests.Response:
        return self._call(
            "POST", start.path, start.body, start.query, key=start.key, headers=start.headers,
            stream=True, patience=patience,
        )  # fmt: skip

    def _events(self, session_id: str, after: int | None) -> requests.Response:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        return self._call("GET", _path("sessions", session_id, "events"), headers=headers, stream=True)

    def _list(self, path: str, query: Mapping[str, Any] | None = None) -> list[Json]:
        return list(_json(self._call("GET", path, None, query)))

    def _object(self, method: str, path: str, *arguments: Any, **options: Any) -> Json:
        return dict(_json(self._call(method, path, *arguments, **options)))

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        patience: float = 0.0,
        retried: bool = True,
        gone_is_done: bool = False,
        attempts: _Attempts | None = None,
    ) -> requests.Response:
        """Repeats what failed on its way, so it is only for calls that may be repeated, unless `retried` is false.
        `patience` is added to how long the first byte may take. `gone_is_done`: a 404 to a repeated call tells
        that the first one was heard."""
        sent = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        if stream:
            sent["Accept-Encoding"] = "identity"  # whatever compresses a stream holds it back
        attempts = attempts or _Attempts()
        deadline = time.monotonic() + (self.retry_seconds if retried else 0.0)
        while True:
            attempts.number += 1
            try:
                response = self._http.request(
                    method,
                    self.url + path,
                    params=query,
                    json=body,
                    headers=sent,
                    stream=stream,
                    timeout=(self._connect_seconds, self._idle_seconds + patience),
                    allow_redirects=False,
                )
                if _is_whole(response, stream) or attempts.number >= GARBLED_ATTEMPTS:
                    if response.status_code < 300:
                        return response
                    error = error_of(response)
                else:
                    response.close()
                    error = Unavailable(f"{self.url} does not answer as Baton does")
            except requests.RequestException as cause:
                error = Unavailable(f"{self.url} can't be reached: {_in_short(cause)}")
                error.__cause__ = cause
            if gone_is_done and attempts.number > 1 and isinstance(error, NotFound):
                return requests.Response()
            if not isinstance(error, Unavailable) or error.code not in TEMPORARY:
                raise error
            pause = attempts.pause()
            if time.monotonic() + pause > deadline:
                raise error
            time.sleep(pause)


class Run:
    """A run that was started, as an iterator of its events, from the first to the last.

    As a context manager it stops the run if it is left before its end. `id` is the run's.
    """

    def __init__(
        self, baton: Baton, session_id: str, begin: Callable[[], requests.Response], *, run_id: str = ""
    ) -> None:
        self._baton = baton
        self.session_id = session_id
        self._reader = _Reader(baton, session_id, begin, None, whole_run=True, has_own_stream=not run_id)
        headers = self._reader.connect().headers
        self.id = run_id or str(headers.get("X-Run-ID", ""))
        if not self.id:
            self._reader.close()
            raise BatonError(f"{baton.url} does not answer as Baton does", status=200)

    @property
    def ended(self) -> bool:
        """Has the last event been read?"""
        return self._reader.ended

    def __iter__(self) -> Iterator[Event]:
        return self._reader

    def text(self) -> str:
        """Reads to the end; what the agent said. RunFailed if it ended with an error."""
        pieces, failure = [], None
        for event in self:
            if isinstance(event, Text):
                pieces.append(event.text)
            elif isinstance(event, Failed):
                failure = RunFailed(event.text, body={"code": event.code})
        if failure is not None:
            raise failure
        return "".join(pieces)

    def approve(self, call_id: str | None = None, *, remember: Literal["", "tool", "session"] = "") -> None:
        self._baton.approve(self.session_id, call_id, remember=remember)

    def reject(self, call_id: str | None = None, *, reason: str = "") -> None:
        self._baton.reject(self.session_id, call_id, reason=reason)

    def elicit(
        self,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
    ) -> None:
        self._baton.elicit(self.session_id, content, action=action)

    def steer(self, message: Message) -> list[Json]:
        return self._baton.steer(self.session_id, message)

    def cancel(self, *, wait_seconds: float = 10.0, at_safe_point: bool = False) -> Json:
        """Stops this run, and no other one of the session. Returns the run; the events go on to their end."""
        return self._baton.cancel(
            self.session_id, run_id=self.id, wait_seconds=wait_seconds, at_safe_point=at_safe_point
        )

    def detach(self) -> None:
        """Stops reading. The run goes on by itself, also when `with` is left."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader.closed:
            return
        self._reader.close()
        try:
            self.cancel()
        except (Conflict, NotFound):
            pass  # it has ended by itself, or its session is deleted
        except BatonError:
            if error is None:
                raise


class _Reader(Iterator[Event]):
    """Events in order, each once, over as many connections as it takes.

    `begin` opens the stream while no event has come that a cursor could name. A reader of a `whole_run` ends with
    it. If the run `has_own_stream`, `begin` opens that one, again from its first event, also when it has ended.
    """

    def __init__(
        self,
        baton: Baton,
        session_id: str,
        begin: Callable[[], requests.Response],
        after: int | None,
        *,
        whole_run: bool = False,
        has_own_stream: bool = False,
    ) -> None:
        self._baton = baton
        self._session_id = session_id
        self._begin = begin
        self._after = after
        self._whole_run = whole_run
        self._has_own_stream = has_own_stream
        self._response: requests.Response | None = None
        self._frames: Iterator[tuple[int | None, str]] = iter(())
        self._from_beginning = True
        self._replay = False
        self._attempts = _Attempts()
        self._heard = time.monotonic()
        self.ended = False
        self.closed = False

    def connect(self) -> requests.Response:
        self._from_beginning = self._after is None or self._replay
        if self._from_beginning:
            self._response = self._begin()
        else:
            self._response = self._baton._events(self._session_id, self._after)
        self._frames = _frames(self._response)
        return self._response

    def close(self) -> None:
        self.closed = True
        if self._response is not None:
            self._response.close()

    def __next__(self) -> Event:
        while not self.closed:
            event = self._read()
            if event is None or self._is_old(event):
                continue
            if isinstance(event, Gap) and self._has_own_stream and not self._from_beginning:
                self._replay = True  # the session's stream might go past this run's end; its own can't
                self._drop()
                continue
            if event.id is not None:
                self._after = event.id
            if self._is_last(event):
                self.ended = True
                self.close()
            return event
        raise StopIteration

    def _read(self) -> Event | None:
        """None if the connection was lost and has to be opened again."""
        if self._response is None:
            self._pause()
            self.connect()
        try:
            number, text = next(self._frames)
        except (StopIteration, requests.RequestException, OSError):
            self._drop()
            return None
        self._heard = time.monotonic()
        self._attempts = _Attempts()
        return event_of(json.loads(text), number)

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None

    def _pause(self) -> None:
        if time.monotonic() - self._heard > self._baton.retry_seconds:
            raise Unavailable(f"the stream of session {self._session_id} breaks off again and again")
        self._attempts.number += 1
        time.sleep(self._attempts.pause())

    def _is_old(self, event: Event) -> bool:
        return event.id is not None and self._after is not None and event.id <= self._after

    def _is_last(self, event: Event) -> bool:
        if event.session_id != self._session_id:
            return False
        return event.type == "session_exited" or (self._whole_run and event.type == "stream_stopped")


@dataclass(frozen=True, slots=True)
class _Start:
    """A request for a run; sent again as it is, it gets the same run."""

    path: str
    body: Any
    query: Mapping[str, str]
    key: str
    headers: Mapping[str, str]


class _Attempts:
    """Counts, and waits longer each time."""

    FIRST: ClassVar[float] = 0.1
    LONGEST: ClassVar[float] = 3.0

    def __init__(self) -> None:
        self.number = 0

    def pause(self) -> float:
        return float(min(self.LONGEST, self.FIRST * 2 ** (self.number - 1)))


def new_key() -> str:
    """For `Idempotency-Key`."""
    return uuid.uuid4().hex


def _is_whole(response: requests.Response, stream: bool) -> bool:
    """A head that was cut passes for one that has fewer lines, and what follows it is lost."""
    if stream and response.status_code == 200:
        return response.headers.get("Content-Type", "").startswith("text/event-stream") and (
            response.request.method == "GET" or "X-Run-ID" in response.headers
        )
    try:
        response.json()
    except (ValueError, requests.RequestException):
        return False
    return True


def error_of(response: requests.Response) -> BatonError:
    """A refusal as the exception for it."""
    try:
        parsed = response.json()
    except (ValueError, requests.RequestException):
        parsed = None
    body = parsed if isinstance(parsed, dict) else {}
    status = response.status_code
    message = str(body.get("message") or f"{response.url} answered {status} {response.reason}")
    return _kind(status, str(body.get("code") or ""))(message, status=status, body=body)


def _kind(status: int, code: str) -> type[BatonError]:
    if code in ("session_busy", "awaiting_approval", "awaiting_input", "stopping"):
        return SessionBusy
    match status:
        case 401 | 403:
            return NotAllowed
        case 404:
            return NotFound
        case 409 | 412:
            return Conflict
        case 502 | 503 | 504:
            return Unavailable
    return BatonError


def _frames(response: requests.Response) -> Iterator[tuple[int | None, str]]:
    """Whole frames only: the number and the data of each. A frame that was cut is no frame."""
    number: int | None = None
    data: list[str] = []
    for line in _lines(response):
        if not line:
            if data:
                yield number, "\n".join(data)
            number, data = None, []
        elif line.startswith(b"id:"):
            number = int(line[3:])
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" ").decode())


def _lines(response: requests.Response) -> Iterator[bytes]:
    rest = b""
    # A piece ends with its chunk. Without chunks, as behind an old proxy, only a byte does not wait for more.
    size = PIECE if getattr(response.raw, "chunked", False) else 1
    for piece in response.iter_content(size):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")


def _path(*parts: str) -> str:
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def _messages(message: Message) -> list[Any]:
    return [{"role": "user", "content": message}] if isinstance(message, str) else list(message)


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise BatonError(f"{response.url} did not answer with JSON", status=response.status_code) from None


def _in_short(cause: BaseException) -> str:
    """The innermost reason; what is around it repeats addresses of objects."""
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__
