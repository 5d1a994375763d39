"""Routes that look at sessions: the list, one with its messages, where it stands. They take no lock, so looking
makes nobody find the session busy."""

from __future__ import annotations

from functools import partial
from typing import Final, NotRequired

from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.conversation.session import Session, SessionSummary
from app.runtime.speaker import speaker
from app.runtime.streams.reader_factory import ReaderFactory
from app.store.store import Store
from app.web.access import owner
from app.web.json_streaming import PAGE, array_response, in_pages, object_response
from app.web.long_poll import LongPoll
from app.web.program import later_client
from app.web.query_parameters import PRETTY, Choice, Matching, Seconds
from app.web.resource import Resource, ResponseSpec, get
from app.web.response_json import json_response, without_empty
from app.web.session_json import SessionDetailJson, SessionSummaryJson, SessionView, session_summary

LIMIT: Final = Matching(
    "limit", "How many at most; all unless it is said.", "[0-9]{0,9}", "limit is a whole number"
)
AFTER: Final = Matching(
    "after",
    "Where the page begins, as the `Link` of the one before says.",
    r"[0-9]{1,11}(\.[0-9]{1,9})?,[A-Za-z0-9_-]{1,64}",
    "after is what the Link of the page before says",
)
BEFORE: Final = Matching(
    "before",
    "Only messages before this position.",
    "[0-9]{0,9}",
    "before, the position of a message, is a whole number",
)
ACTIVE: Final = Choice("active", "`true`: only those with a run at work.", ("true", "false"), "false")
ORDER: Final = Choice(
    "order",
    "By what the newest come first: when they were made, or were active last.",
    ("created", "activity"),
    "created",
)
STATUS_WAIT: Final = Seconds(
    "wait", "Waits so long for a first run to begin on the session; at most 5 m.", most=300.0
)
MOST: Final = 1000
"""Sessions in a page."""


class SnapshotJson(SessionDetailJson):
    """`messages` is always there. `last_event_seq`: follow the session's events since then, and nothing is
    missing."""

    cost: float
    streaming: bool
    agent: str
    last_event_seq: int


class SessionStatusJson(TypedDict):
    """`streaming`: a run is at work, in whatever process. `agent`: the one that has the conversation; empty before
    the first run. `paused`: its run waits before its next model call; `pause_armed`: it does so when it comes there, or
    waits there already."""

    id: str
    title: str
    streaming: bool
    agent: str
    input_tokens: int
    output_tokens: int
    num_messages: int
    pause_armed: NotRequired[bool]
    paused: NotRequired[bool]


class SessionReadsResource(Resource):
    """Shows sessions to those who may see them."""

    name = "looking"
    prefix = "/api/sessions"

    def __init__(self, store: Store, readers: ReaderFactory, waits: LongPoll) -> None:
        self._waits = waits
        self._store = store
        self._readers = readers
        self._view = SessionView(store)

    @get(
        "",
        "Lists sessions, newest first",
        parameters=(PRETTY, LIMIT, AFTER, ACTIVE, ORDER),
        answers={
            200: ResponseSpec("Those that the asker may see.", list[SessionSummaryJson], headers=("Link",))
        },
        refusals=(errors.InvalidRequest,),
    )
    def summaries(self) -> Response:
        """All, unless a `limit` is asked for; then `Link` says where the next page is."""
        limit, after, whose = LIMIT.read(), _place(AFTER.read()), owner()
        by_activity = ORDER.read() == "activity"
        behind = partial(_behind, by_activity=by_activity)
        find = partial(
            self._store.sessions.summaries,
            owner=whose,
            at_work=ACTIVE.read() == "true",
            by_activity=by_activity,
        )
        if not limit:
            pages = in_pages(
                lambda place: find(limit=PAGE, after=place or after),
                last=behind,
                show=session_summary,
            )
            return array_response(pages)
        size = min(int(limit), MOST)
        found = find(limit=size + 1, after=after)
        response = json_response([session_summary(one) for one in found[:size]])
        if len(found) > size:
            moment, last = behind(found[size - 1])
            more = f"limit={size}&after={moment!r},{last}"
            more += "&active=true" if ACTIVE.given() == "true" else ""
            more += "&order=activity" if by_activity else ""
            response.headers["Link"] = f'<sessions?{more}>; rel="next"'
        return response

    @get(
        "/<session:session_id>",
        "Shows one session with its messages and its run",
        parameters=(PRETTY, LIMIT, BEFORE),
        answers={200: ResponseSpec("The session.", SessionDetailJson)},
        refusals=(errors.SessionNotFound, errors.InvalidRequest),
    )
    def detail(self, session_id: str) -> Response:
        """With all messages, unless a `limit` is asked for: then with the newest ones, or those before a position."""
        session = self._looked_up(session_id)
        last = self._store.sessions.last_position(session_id)
        if before := BEFORE.read():
            last = min(last, int(before) - 1)
        first = max(0, last + 1 - int(limit)) if (limit := LIMIT.read()) else 0
        more = {"first_position": first} if limit or before else {}
        run = self._store.runs.live_run(session_id)
        return object_response(self._view.shown(session, run, first=first, last=last, more=more))

    @get(
        "/<session:session_id>/snapshot",
        "Shows a session, and where to follow its events from",
        answers={200: ResponseSpec("Now.", SnapshotJson)},
        refusals=(errors.SessionNotFound,),
    )
    def snapshot(self, session_id: str) -> Response:
        """Read this, then follow the events since `last_event_seq`: nothing is missing."""
        last_event = self._readers.whole_until(self._looked_up(session_id).id)  # before what it tells is read
        if (program := later_client(streams=False)) is not None:
            self._readers.own_streams.show_snapshot(session_id, program, last_event)
        session = self._looked_up(session_id)
        last = self._store.runs.recent(session_id=session_id, limit=1)
        live = last[0] if last and last[0].live else None
        more = {
            "cost": session.cost,
            "streaming": live is not None,
            "agent": speaker(self._store, session_id, last),
            "last_event_seq": last_event,
        }
        return object_response(self._view.shown(session, live, more=more, always=True, with_ids=True))

    @get(
        "/<session:session_id>/status",
        "Shows in short how a session is",
        parameters=(PRETTY, STATUS_WAIT),
        answers={200: ResponseSpec("Now.", SessionStatusJson)},
        refusals=(
            *(errors.SessionNotFound, errors.InvalidRequest),
            *(errors.SessionNotReady, errors.Draining, errors.ServerFull),
        ),
    )
    def status(self, session_id: str) -> Response:
        """With `wait`, once a run has begun on the session; in a stream's place, since it holds a thread."""
        longest = STATUS_WAIT.read()
        session = self._looked_up(session_id)
        if STATUS_WAIT.given() is not None:
            if not self._waits.until(lambda: self._has_run(session_id), seconds=longest):
                raise errors.SessionNotReady()
            session = self._looked_up(session_id)
        last = self._store.runs.recent(session_id=session_id, limit=1)
        paused = bool(last and last[0].live and last[0].is_paused)
        shown: SessionStatusJson = {
            "id": session_id,
            "title": session.title,
            "streaming": bool(last and last[0].live),
            "agent": speaker(self._store, session_id, last),
            "input_tokens": session.input_tokens,
            "output_tokens": session.output_tokens,
            "num_messages": self._store.sessions.last_position(session_id) + 1,
            "pause_armed": paused or session.choices.pause,
            "paused": paused,
        }
        return json_response(without_empty(SessionStatusJson, shown))

    def _has_run(self, session_id: str) -> bool:
        """SessionNotFound if it is deleted meanwhile."""
        if self._store.runs.recent(session_id=session_id, limit=1):
            return True
        self._looked_up(session_id)
        return False

    def _looked_up(self, session_id: str) -> Session:
        """SessionNotFound in the contract's words for looking."""
        try:
            return self._store.sessions.get(session_id, owner=owner())
        except errors.SessionNotFound as error:
            raise errors.SessionNotFound("session not found: session not found") from error


def _behind(summary: SessionSummary, *, by_activity: bool) -> tuple[float, str]:
    moment = summary.active_at if by_activity else summary.session.created_at
    return moment, summary.session.id


def _place(text: str | None) -> tuple[float, str] | None:
    if text is None:
        return None
    created_at, _, session_id = text.partition(",")
    return float(created_at), session_id
