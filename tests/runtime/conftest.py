"""A store of the test's own, and managers on it whose agents do what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.model import ModelClient
from app.roots import Roots
from app.runtime.manager import RuntimeManager
from app.runtime.plan import Planner
from app.runtime.planner import AgentPlanner
from app.store.engine import Database
from app.store.store import Store
from app.team.directory import TeamDirectory
from tests.conftest import AGENTS
from tests.harness.sqlite import sqlite_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    database = Database(sqlite_in(tmp_path))
    yield Store(database, lease_seconds=30.0)
    database.close()


Manage = Callable[..., RuntimeManager]
Agents = Callable[[ModelClient | None], AgentPlanner]


@pytest.fixture
def manage(store: Store) -> Iterator[Manage]:
    """Makes managers, each as if it were alone in its process; they are drained at the end."""
    made: list[RuntimeManager] = []

    def make(planner: Planner, **more: Any) -> RuntimeManager:
        options = {"store": store, "max_streams": 50, "heartbeat_seconds": 1000.0, **more}
        manager = RuntimeManager(options.pop("store"), planner, **options)
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.drain(0)


@pytest.fixture
def agents(store: Store, tmp_path: Path) -> Agents:
    """A planner of real agents on a model that is a double."""

    def planner(model: ModelClient | None) -> AgentPlanner:
        return AgentPlanner(TeamDirectory(AGENTS, {}), model, store, environment={}, roots=Roots((tmp_path,)))

    return planner
