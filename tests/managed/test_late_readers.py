"""A reader of a stream that is behind what it reads."""

from __future__ import annotations

import re

from app.factory import Server
from app.managed.event_stream import FollowedSession
from app.managed.id_validation import number_of
from app.managed.previews import PREVIEWS
from app.managed.stream_poller import StreamPoller
from app.runtime.streams.reader_factory import ReaderFactory
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import AROUND, IDLE, REQUEST, say, sdk, server, until_idle

__all__ = ["sdk", "server"]


def test_what_was_told_already_is_not_previewed_any_more(
    server: Server, sdk: Sdk, new_session: SessionMaker
) -> None:
    session, runtime = new_session().id, server.runtime
    readers = ReaderFactory(server.store, runtime.runs, runtime.logs, runtime.services)
    number = number_of(session)
    reader = FollowedSession(
        server.store,
        readers,
        StreamPoller(server.store.told, runtime.periodic_tasks),
        number,
        previews=frozenset(PREVIEWS),
        behind="",
        ended=False,
    )
    try:
        sdk.beta.sessions.events.send(session, events=[say("[say Hello there.]")])
        until_idle(sdk, session)
        seen = b"".join(frames for _ in range(4) if (frames := reader.next(0.01)))
    finally:
        reader.close()
    told = re.findall(rb"event: ([a-z._]+)\n", seen)
    assert [kind.decode() for kind in told] == [*AROUND, "user.message", *REQUEST, *IDLE]
