"""SQLite takes one writer at a time. Another one, of another process for example, begins as soon as it can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailable
from app.store import drivers, engine
from app.store.engine import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'baton.db'}"


@contextmanager
def _two(url: str) -> Iterator[tuple[Database, Database]]:
    with closing(Database(url)) as one, closing(Database(url)) as other:
        with one.writing() as connection:
            connection.execute(text("CREATE TABLE notes (word TEXT)"))
        yield one, other


def _write(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('here')"))


def test_a_writer_looks_again_soon_until_it_can_begin(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    looked = threading.Event()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 100:  # SQLite's own looks would be seconds apart by now
            looked.set()

    with _two(url) as (one, other), ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(drivers, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
        with one.writing():
            waiting = threads.submit(_write, other)
            assert looked.wait(10)
            assert not waiting.done()
        waiting.result(10)
        with one.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM notes")).scalar_one() == 1
    assert set(pauses) == {drivers.LOCK_SECONDS}


def test_its_patience_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "BUSY_SECONDS", 0.02)
    with _two(url) as (one, other):
        with one.writing(), pytest.raises(StoreUnavailable):
            _write(other)
        _write(other)


def test_so_does_that_of_a_vacuum(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.02)
    with _two(url) as (one, other):
        with one.writing() as connection:
            connection.execute(text("INSERT INTO notes VALUES ('here')"))
            with pytest.raises(StoreUnavailable):
                other.vacuum()
        other.vacuum()
