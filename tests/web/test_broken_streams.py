"""A stream that the server itself has to break off ends without an end, and its run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.errors import StoreUnavailable
from app.factory import Server
from app.runtime.streams.event_reader import EventReader
from tests.harness.in_process import LocalClient
from tests.harness.process import eventually

_DEFAULTS = EventReader.__init__.__kwdefaults__ or {}


@pytest.mark.parametrize("trouble", [StoreUnavailable(), ValueError("a bug")], ids=["away", "a bug"])
def test_a_reader_that_fails_ends_its_stream_and_not_its_run(
    server: Server, model: OfflineServer, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    client = LocalClient(server)
    session = client.new_session()
    look: Any = EventReader._look
    started = False

    def fail(reader: EventReader, timeout: float) -> bytes:
        nonlocal started
        if started:
            raise trouble
        frames: bytes = look(reader, timeout)
        started = b"agent_choice" in frames
        return frames

    monkeypatch.setattr(EventReader, "_look", fail)
    monkeypatch.setattr(EventReader.__init__, "__kwdefaults__", {**_DEFAULTS, "patience": 0.0})
    with client.run(session, "[words 20][hold 5]") as stream:
        events = stream.rest()
    assert started
    assert "stream_stopped" not in {event["type"] for event in events}
    assert client.session(session)["run"]["status"] == "running"
    model.release()
    eventually(lambda: server.runtime.runs.find(session) is None, "the run has ended")
    (run,) = client.call("GET", f"/api/runs?session={session}")
    assert run["status"] == "finished"


def test_a_client_that_leaves_still_cancels_its_run(server: Server, model: OfflineServer) -> None:
    client = LocalClient(server)
    session = client.new_session()
    with client.run(session, "[words 20][hold 5]") as stream:
        stream.until("agent_choice")
    eventually(lambda: server.runtime.runs.find(session) is None, "the run has ended")
    (run,) = client.call("GET", f"/api/runs?session={session}")
    assert run["status"] == "cancelled"
