"""A stream whose response can't be made keeps nothing, and leaves no run alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import flask
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import ServerFull, StoreUnavailable
from app.factory import Server
from app.runtime.streams.disconnects import DisconnectWatcher
from app.runtime.streams.reader_factory import ReaderFactory
from app.runtime.streams.stream_writer import StreamWriter
from app.store.session_store import SessionStore
from app.web import sse
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually
from tests.harness.wire import text_of

HELD = "[words 50][hold 5]"
UNMADE = (500, 503)

Break = Callable[[pytest.MonkeyPatch, Server], None]


def _raise(*_: Any, **__: Any) -> Any:
    raise MemoryError


def _no_response(patch: pytest.MonkeyPatch, _: Server) -> None:
    patch.setattr(sse, "Response", _raise)


def _no_reader(patch: pytest.MonkeyPatch, _: Server) -> None:
    patch.setattr(ReaderFactory, "of_run", _raise)
    patch.setattr(ReaderFactory, "of_session", _raise)


def _no_watcher(patch: pytest.MonkeyPatch, server: Server) -> None:
    patch.setattr(DisconnectWatcher, "watching", _raise)
    patch.setattr(server.app, "wsgi_app", _with(object(), server.app.wsgi_app))


def _no_headers(patch: pytest.MonkeyPatch, server: Server) -> None:
    """The last step of each response fails for streams."""

    def last(response: flask.Response) -> flask.Response:
        if response.mimetype == "text/event-stream":
            raise MemoryError
        return response

    after: dict[Any, Any] = server.app.after_request_funcs
    patch.setitem(after, None, [*after.get(None, ()), last])


def _with(connection: object, app: Any) -> Any:
    """The application as it is under gunicorn, which hands it the request's socket."""
    return lambda environ, start: app({**environ, "gunicorn.socket": connection}, start)


BREAKS: list[Break] = [_no_response, _no_reader, _no_watcher, _no_headers]


def names(break_it: Break) -> str:
    return break_it.__name__.strip("_")


@pytest.mark.parametrize("break_it", BREAKS, ids=names)
def test_a_run_without_a_response_ends_as_if_its_client_had_left(
    server: Server, local: LocalClient, model: OfflineServer, break_it: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, before = local.new_session(), server.runtime.slots.taken
    with monkeypatch.context() as patch:
        break_it(patch, server)
        assert local.try_run(session, HELD).status_code in UNMADE
    assert server.runtime.slots.taken == before
    eventually(lambda: not server.runtime.runs.all(), "the run has ended")
    (run,) = local.call("GET", f"/api/runs?session={session}")
    assert (run["status"], run["stopped_by"]) == ("cancelled", "client left")
    assert not server.runtime.logs.followed()


@pytest.mark.parametrize("break_it", BREAKS, ids=names)
def test_a_run_that_goes_on_without_its_client_goes_on_without_a_response(
    server: Server, local: LocalClient, break_it: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, before = local.new_session(), server.runtime.slots.taken
    with monkeypatch.context() as patch:
        break_it(patch, server)
        response = local.try_run(session, "[say done]", query="?on_disconnect=continue")
        assert response.status_code in UNMADE
    assert server.runtime.slots.taken == before
    eventually(lambda: not server.runtime.runs.all(), "the run has ended")
    assert local.messages(session)[-1]["content"] == "done"


@pytest.mark.parametrize("break_it", BREAKS, ids=names)
def test_a_reader_without_a_response_keeps_neither_place_nor_log(
    server: Server, local: LocalClient, break_it: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, before = local.new_session(), server.runtime.slots.taken
    with monkeypatch.context() as patch:
        break_it(patch, server)
        assert local.ask("GET", f"/api/sessions/{session}/events").status_code in UNMADE
    assert server.runtime.slots.taken == before
    assert not server.runtime.logs.followed()


def test_a_reader_that_the_database_fails_keeps_no_log(
    server: Server, local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> int:
        raise StoreUnavailable

    session = local.new_session()
    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "next_event", away)
        assert local.ask("GET", f"/api/sessions/{session}/events").status_code in UNMADE
    assert not server.runtime.logs.followed()


def test_a_stream_is_written_by_its_own_thread_if_the_writer_has_none(
    server: Server, local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def no_thread(*_: Any) -> bool:
        asked.set()
        raise ServerFull

    session = local.new_session()
    near, far = socket.socketpair()
    with near, far, monkeypatch.context() as patch:
        patch.setattr(StreamWriter, "carry", no_thread)
        patch.setattr(server.app, "wsgi_app", _with(near, server.app.wsgi_app))
        assert text_of(local.say(session, "[words 20]")).count(" ") == 19
    assert asked.is_set()
