"""The directories of sessions: which of them are swept, and which stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.factory import Server
from app.managed import directories
from app.managed.directories import Directories
from app.managed.id_validation import number_of
from app.runtime.own_directories import CLONING
from app.selfcheck.own_files import roots_of
from tests.harness.in_process import LocalClient
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_sessions import server, until_idle
from tests.managed.toolset_calls import call, results, started

__all__ = ["server"]


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def place_of(server: Server, session: str) -> Path:
    return Path(server.store.managed.get(number_of(session), owner=None).session.working_dir)


def age(place: Path) -> None:
    for mark in place.parent.glob(f".{place.name}.*"):
        os.utime(mark, (0, 0))


def sweep(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "SWEEP_SECONDS", 0.0)
    Directories(server.store, roots_of(server.settings), host="here").sweep()


def test_what_a_crash_leaves_behind_is_swept(
    sdk: Sdk, server: Server, new_session: SessionMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept, gone, fresh, strange, linked = (place_of(server, new_session().id) for _ in range(5))
    for place in (gone, fresh, strange, linked):
        server.store.sessions.delete(number_of(place.name))
    (elsewhere := tmp_path / "elsewhere").mkdir()
    linked.rmdir()
    linked.symlink_to(elsewhere)
    for place in (kept, gone, strange, linked):
        age(place)
    (mark,) = strange.parent.glob(f".{strange.name}.*")
    mark.rename(mark.with_name(f".{strange.name}.agent_{'01' + '2' * 22}"))  # of another server's agent
    sweep(server, monkeypatch)
    assert (kept.is_dir(), gone.exists(), fresh.is_dir(), strange.is_dir()) == (True, False, True, True)
    assert elsewhere.is_dir()
    assert not list(gone.parent.glob(f".{gone.name}.*"))


def test_a_clone_that_a_process_died_in_is_swept(
    sdk: Sdk, server: Server, new_session: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(server, new_session().id)
    left, under_way = (place.with_name(f"{CLONING}{name}") for name in ("left", "under-way"))
    for one in (left, under_way):
        (one / "clone").mkdir(parents=True)
    os.utime(left, (0, 0))
    sweep(server, monkeypatch)
    assert (left.exists(), under_way.is_dir(), place.is_dir()) == (False, True, True)


def test_a_deleted_session_leaves_nothing_behind(sdk: Sdk, server: Server, new_session: SessionMaker) -> None:
    place = place_of(server, session := new_session().id)
    assert place.is_dir()
    sdk.beta.sessions.delete(session)
    assert not [one for one in place.parent.iterdir() if place.name in one.name]


def test_a_fork_outlives_its_original(
    sdk: Sdk, server: Server, local: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = started(sdk, call("write", file_path="a.txt", content="Here.") + "[then][think][say Done.]").id
    until_idle(sdk, session)
    copy = local.call("POST", f"/api/sessions/{number_of(session)}/fork", {})["id"]
    place = place_of(server, session)
    sdk.beta.sessions.delete(session)
    (fork,) = [one.id for one in sdk.beta.sessions.list()]
    assert number_of(fork) == copy
    assert list(sdk.beta.sessions.events.list(fork)) == []
    said = call("bash", command="cat a.txt") + "[then][say Read.]"
    sdk.beta.sessions.events.send(
        fork, events=[{"type": "user.message", "content": [{"type": "text", "text": said}]}]
    )
    until_idle(sdk, fork)
    assert results(sdk, fork) == [("Here.", False)]
    sdk.beta.sessions.delete(fork)
    age(place)
    sweep(server, monkeypatch)
    assert not place.exists()
