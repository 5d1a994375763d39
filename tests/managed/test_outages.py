"""A database that is away for a moment while a run is told of costs no event, and no run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.factory import Server
from app.store.call_decisions import CallDecisions
from app.store.told_events import ToldEvents
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import types, until_idle
from tests.managed.toolset_calls import ASK, call, confirm, started, waiting

READS = (
    (ToldEvents, "last_place"),
    (ToldEvents, "waiting"),
    (ToldEvents, "open_calls"),
    (ToldEvents, "open_work"),
    (CallDecisions, "of"),
)
CALLED = call("bash", command="echo ran") + "[then][say Done.]"


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def story(sdk: Sdk) -> list[str]:
    session = started(sdk, CALLED, default_config={"permission_policy": ASK})
    (use,) = waiting(sdk, session.id)
    sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
    until_idle(sdk, session.id, times=2)
    return types(sdk, session.id)


def test_each_read_may_fail_once(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the reads that the story makes on the run's thread fails in turn, and is made again."""
    whole, failed, made = story(sdk), -1, 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(store: object, *arguments: Any) -> Any:
            nonlocal made
            if not threading.current_thread().name.startswith("run-"):
                return real(store, *arguments)
            made += 1
            if made == failed:
                raise StoreUnavailable()
            return real(store, *arguments)

        return read

    for kind, name in READS:
        monkeypatch.setattr(kind, name, failing(getattr(kind, name)))
    assert story(sdk) == whole
    reads, told = made, []
    for failed in range(1, reads + 1):
        made = 0
        told.append(story(sdk))
        assert made > failed, "the read was made again"
    assert reads > 4
    assert told == [whole] * reads
