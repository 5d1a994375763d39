"""F9: a title is made beside the run. Slower, faster, failing or cut off, it never holds the session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.agent.model_client import Cancellation, ModelError, ModelEvent, ModelRequest
from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.roots import Roots
from app.runtime.agent_planner import AgentPlanner
from app.runtime.live_run import LiveRun
from app.runtime.titles import Titles
from app.store.run_request import RunRequest
from app.store.store import Store
from app.team.team_directory import TeamDirectory
from tests.conftest import AGENTS
from tests.harness.models import PATIENCE, said
from tests.harness.process import eventually
from tests.runtime.conftest import Manage

SESSION = "0c6c0f3e-6c1b-4d8e-9a39-6b7c7a2f7a10"


class TwoModels:
    """Answers runs at once, and titles when the test says so."""

    def __init__(self) -> None:
        self.title_asked = threading.Event()
        self.title_may_come = threading.Event()
        self.run_may_answer = threading.Event()
        self.run_may_answer.set()
        self.failure: Exception | None = None
        self.failing = ""  # a model of whose titles none comes
        self.titles_by: list[str] = []
        self.cancelled = False

    def stream(self, request: ModelRequest, cancellation: Cancellation) -> Iterator[ModelEvent]:
        if b"title" not in request.system:
            assert self.run_may_answer.wait(PATIENCE)
            yield from said("an answer")
            return
        self.title_asked.set()
        with cancellation.calling(self.title_may_come.set):
            assert self.title_may_come.wait(PATIENCE)
        if cancellation.is_set():
            self.cancelled = True
            raise ModelError("cancelled", kind="cancelled")
        self.titles_by.append(request.model)
        if request.model == self.failing:
            raise ModelError("overloaded", kind="retryable")
        if self.failure is not None:
            raise self.failure
        yield from said("\n  A good title \nand more")


@pytest.fixture
def model() -> TwoModels:
    return TwoModels()


@pytest.fixture
def titles(store: Store) -> Iterator[Titles]:
    made = Titles(store.sessions)
    yield made
    made.stop()


@pytest.fixture
def begin(
    store: Store, manage: Manage, titles: Titles, model: TwoModels, tmp_path: Path
) -> Callable[..., LiveRun]:
    """Starts a run on the one session."""
    store.sessions.create(Session(SESSION, 1.0))
    directory = TeamDirectory(AGENTS, {})
    planner = AgentPlanner(directory, model, store, environment={}, roots=Roots((tmp_path,)), titles=titles)
    runtime = manage(planner)

    def start(key: str = "plain") -> LiveRun:
        messages = [Message("user", (text_block("What is a baton?"),), created_at=1.0)]
        return runtime.manager.start(RunRequest(session_id=SESSION, key=key, messages=messages))

    return start


def test_a_title_that_is_slower_than_the_run_does_not_hold_the_session_and_is_stored(
    store: Store, begin: Callable[..., LiveRun], model: TwoModels
) -> None:
    first = begin()
    assert model.title_asked.wait(PATIENCE)
    assert first.finished.wait(PATIENCE)
    assert not model.title_may_come.is_set()  # the title's call is still under way
    second = begin()
    assert second.finished.wait(PATIENCE)
    model.title_may_come.set()
    eventually(lambda: store.sessions.get(SESSION).title == "A good title", "the title was stored")


def test_a_title_that_is_faster_than_the_run_is_told_to_its_readers(
    store: Store, begin: Callable[..., LiveRun], model: TwoModels
) -> None:
    model.run_may_answer.clear()
    model.title_may_come.set()
    live = begin()
    eventually(lambda: store.sessions.get(SESSION).title == "A good title", "the title was stored")
    piece = eventually(lambda: _told(live), "the title was told")
    assert b'"title":"A good title"' in piece
    assert not live.finished.is_set()
    model.run_may_answer.set()
    assert live.finished.wait(PATIENCE)


def _told(live: LiveRun) -> bytes | None:
    piece = live.log.read(live.first_event - 1, 0)
    return piece.frames if piece is not None and b'"session_title"' in piece.frames else None


@pytest.mark.parametrize("failure", [ModelError("no", kind="final"), ValueError("a bug")])
def test_a_title_that_fails_leaves_the_run_and_the_session_as_they_are(
    store: Store,
    begin: Callable[..., LiveRun],
    model: TwoModels,
    titles: Titles,
    failure: Exception,
) -> None:
    model.failure = failure
    model.title_may_come.set()
    live = begin()
    assert live.finished.wait(PATIENCE)
    eventually(lambda: not titles.under_way, "the title's thread ended")
    assert store.sessions.get(SESSION).title == ""
    assert store.runs.get(live.run.id).status == "finished"


def test_a_title_that_fails_is_made_by_the_agents_next_model(
    store: Store, begin: Callable[..., LiveRun], model: TwoModels
) -> None:
    model.failing = "claude-sonnet-5-5"
    model.title_may_come.set()
    assert begin("fallback").finished.wait(PATIENCE)
    eventually(lambda: store.sessions.get(SESSION).title == "A good title", "the title was stored")
    assert model.titles_by == ["claude-sonnet-5-5", "claude-haiku-5-5"]


@pytest.mark.parametrize("name", ["title-timer-", "title-"])
def test_a_title_whose_threads_can_not_start_is_not_under_way_for_ever(
    begin: Callable[..., LiveRun], titles: Titles, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_others)
    live = begin()
    assert live.finished.wait(PATIENCE)
    eventually(lambda: not titles.under_way, "no title is under way")


def test_a_title_is_cut_off_when_the_process_stops(
    begin: Callable[..., LiveRun], model: TwoModels, titles: Titles
) -> None:
    live = begin()
    assert model.title_asked.wait(PATIENCE)
    assert live.finished.wait(PATIENCE)
    titles.stop()
    assert model.cancelled


def test_a_title_that_somebody_has_set_meanwhile_is_left_alone(
    store: Store, begin: Callable[..., LiveRun], model: TwoModels, titles: Titles
) -> None:
    live = begin()
    assert model.title_asked.wait(PATIENCE)
    store.sessions.set_title(SESSION, "mine")
    model.title_may_come.set()
    assert live.finished.wait(PATIENCE)
    eventually(lambda: not titles.under_way, "the title's thread ended")
    assert store.sessions.get(SESSION).title == "mine"
