"""What is stored is enough: a process that dies before it tells a run, or begins with one, costs nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.id_validation import number_of
from app.store import queue_store
from tests.conftest import make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import IDLE, say, server, types, until_idle
from tests.managed.toolset_calls import ASK, call, started, waiting

__all__ = ["server"]


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.fixture
def beside(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sdk]:
    """A client of another server with the same database, which stores what it is asked and dies then: it tells no run
    of it, and begins none."""
    settings = server.settings
    other = build(make_settings(settings.roots[0], settings.api_base_url, database_url=settings.database_url))
    monkeypatch.setattr(other.control, "interrupt", lambda *_, **__: None)
    monkeypatch.setattr(other.runtime.manager, "start_queued", lambda *_: False)
    with Sdk(other, "anything") as client:
        yield client
    other.close()


def test_an_interrupt_reaches_a_run_of_another_process(
    sdk: Sdk, beside: Sdk, new_session: SessionMaker, model: OfflineServer
) -> None:
    session = new_session().id
    sdk.beta.sessions.events.send(session, events=[say("[words 9][stall 5]")])
    eventually(lambda: model.requests, "the model is asked")
    beside.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    until_idle(sdk, session)
    assert types(sdk, session)[-4:] == ["user.interrupt", *IDLE]


def test_an_interrupt_closes_a_run_whose_process_is_gone(
    sdk: Sdk, beside: Sdk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = started(sdk, call("bash", command="echo ran"), default_config={"permission_policy": ASK}).id
    waiting(sdk, session)
    server.runtime.supervisor.drain(0.0)
    sdk.beta.sessions.update(session, title="Meanwhile")
    beside.beta.sessions.events.send(session, events=[{"type": "user.interrupt"}])
    assert server.store.runs.live_run(number_of(session)) is None
    assert types(sdk, session)[-6:] == ["agent.tool_result", "session.updated", "user.interrupt", *IDLE]


def test_an_archived_session_has_no_run_that_waits(sdk: Sdk, beside: Sdk, server: Server) -> None:
    session = started(sdk, call("bash", command="echo ran"), default_config={"permission_policy": ASK}).id
    waiting(sdk, session)
    assert beside.beta.sessions.archive(session).status == "terminated"
    eventually(lambda: server.store.runs.live_run(number_of(session)) is None, "the run has ended")
    assert types(sdk, session).count("agent.tool_result") == 1


def test_an_archived_session_answers_no_message(
    sdk: Sdk, beside: Sdk, server: Server, new_session: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_store, "STRANDED_SECONDS", 0.0)
    session = new_session().id
    number = number_of(session)
    beside.beta.sessions.events.send(session, events=[say("[say Too late.]")])
    assert server.store.queue.stranded() == [number]
    beside.beta.sessions.archive(session)
    assert server.store.queue.stranded() == []
    assert not server.runtime.manager.start_queued(number)
    (event,) = sdk.beta.sessions.events.list(session)
    assert (event.type, event.processed_at) == ("user.message", None)
