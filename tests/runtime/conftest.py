"""A store of the test's own, and runtimes on it whose agents do what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.model_client import ModelClient
from app.roots import Roots
from app.runtime.agent_planner import AgentPlanner
from app.runtime.run_plan import Planner
from app.runtime.runtime import Runtime
from app.store.engine import Database
from app.store.store import Store
from app.team.team_directory import TeamDirectory
from tests.conftest import AGENTS
from tests.harness.sqlite import sqlite_in
from tests.store.actors import seeing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    database = Database(sqlite_in(tmp_path))
    yield Store(database, lease_seconds=30.0)
    database.close()


Manage = Callable[..., Runtime]
Agents = Callable[[ModelClient | None], AgentPlanner]


@pytest.fixture
def manage(store: Store) -> Iterator[Manage]:
    """Makes runtimes, each as if it were alone in its process; they are drained at the end."""
    made: list[Runtime] = []

    def make(planner: Planner, **more: Any) -> Runtime:
        options = {"store": store, "probe": None, "max_streams": 50, "heartbeat_seconds": 1000.0, **more}
        runtime = Runtime(seeing(options.pop("store"), options.pop("probe")), planner, **options)
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.supervisor.drain(0)


@pytest.fixture
def agents(store: Store, tmp_path: Path) -> Agents:
    """A planner of real agents on a model that is a double."""

    def planner(model: ModelClient | None) -> AgentPlanner:
        return AgentPlanner(TeamDirectory(AGENTS, {}), model, store, environment={}, roots=Roots((tmp_path,)))

    return planner
