"""A stream of one run ends with that run, however it is read and whatever comes after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.conversation.run import Owner
from app.runtime.event_reader import EventReader
from app.runtime.event_readers import EventReaders
from app.runtime.live_run import LiveRun
from app.runtime.manager import RuntimeManager
from app.store.store import Store
from tests.runtime.conftest import Manage
from tests.runtime.loops import PATIENCE, OneLoop, Patient, idle, read_to_end, say
from tests.store.actors import new_session, nobody_is_gone

ELSEWHERE = Owner("elsewhere", "boot", 77, "1")


class Scene:
    """A run that works in `here` until the test ends it, a second process, and readers of the run."""

    def __init__(self, store: Store, manage: Manage) -> None:
        self.store = store
        self.work = Patient()
        self._planner = OneLoop(self.work.loop)
        self.here = manage(self._planner, owner_is_gone=nobody_is_gone)
        self.there = manage(OneLoop(idle), owner=ELSEWHERE, owner_is_gone=nobody_is_gone)
        self.session_id = new_session(store).id
        if say(self.here, self.session_id, "the run before", key="plain") is not None:
            self._before = self.here.find(self.session_id)
        self.work.let_go()
        _wait(self.here, self.session_id)
        self.work = Patient()
        self._planner.loop = self.work.loop
        self.live: LiveRun = say(self.here, self.session_id)
        assert self.work.entered.wait(PATIENCE)

    def end(self) -> None:
        self.work.let_go()
        assert self.live.finished.wait(PATIENCE)

    def next_run(self, manager: RuntimeManager) -> None:
        self._planner.loop = idle
        assert say(manager, self.session_id, "the next one").finished.wait(PATIENCE)

    def expected(self) -> bytes:
        """The run's own events, as they are stored."""
        segments = self.store.events.read(self.session_id, 0)
        return b"".join(one.frames for one in segments if one.run_id == self.live.run.id)


def _wait(manager: RuntimeManager, session_id: str) -> None:
    live = manager.find(session_id)
    if live is not None:
        assert live.finished.wait(PATIENCE)


Way = Callable[[Scene], EventReader]
"""Opens a reader while the run is at work."""


def own(scene: Scene) -> EventReader:
    return EventReaders(scene.store, scene.here).of_run(scene.live)


def retried(scene: Scene) -> EventReader:
    """The row was read while the run was at work; its process has let go of it before it was looked for."""
    return EventReaders(scene.store, scene.here).of_past_run(scene.store.runs.get(scene.live.run.id))


def elsewhere(scene: Scene) -> EventReader:
    return EventReaders(scene.store, scene.there).of_past_run(scene.store.runs.get(scene.live.run.id))


WAYS = [own, retried, elsewhere]


def _nothing_follows(scene: Scene) -> None:
    pass


def _next_here(scene: Scene) -> None:
    scene.next_run(scene.here)


def _next_there(scene: Scene) -> None:
    scene.next_run(scene.there)


def _many_follow(scene: Scene) -> None:
    for _ in range(3):
        scene.next_run(scene.here)
        scene.next_run(scene.there)


@pytest.fixture
def scene(store: Store, manage: Manage) -> Scene:
    return Scene(store, manage)


@pytest.mark.parametrize("follows", [_nothing_follows, _next_here, _next_there, _many_follow])
@pytest.mark.parametrize("caught_up", [False, True], ids=["behind", "caught up"])
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_came_while_the_run_worked_ends_with_it(
    scene: Scene, way: Way, caught_up: bool, follows: Callable[[Scene], None]
) -> None:
    reader = way(scene)
    seen = b""
    while caught_up and b"stream_started" not in seen:
        seen += reader.next(PATIENCE) or b""
    scene.end()
    follows(scene)
    seen += read_to_end(reader)
    assert seen == scene.expected()
    assert seen.count(b'"stream_stopped"') == 1
