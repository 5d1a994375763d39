"""Fixtures that every test may use, and the detector of what a test leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.access_tokens import parse_token
from app.factory import Server, build
from app.settings import Settings
from baton_client import event_stream
from baton_client.connection import Answer
from baton_client.sse_frames import frames
from tests.harness.in_process import LocalClient
from tests.harness.postgres import PostgresServer, find_binaries
from tests.harness.process import BatonProcess, eventually
from tests.harness.routes import compile_routes_once
from tests.harness.sqlite import sqlite_in
from tests.harness.strict_client import decode_as_sent
from tests.harness.wire import Client
from tests.slow_tests import ON_POSTGRES, SLOW

TESTS = Path(__file__).parent
AGENTS = TESTS / "agents_for_tests"

LONG = (
    "console/test_conversation",
    "deployment/test_stopping",
    "openapi/",
    "walk/",
    "chaos/",
    "kill_points/",
    "console/",
    "deployment/",
    "client/",
    "failure_modes/",
    "while_it_runs/",
    "commands/",
    "upgrades/",
    "corpus/test_cases",
    "laptop/",
    "test_cookbook",
    "test_first_agent",
    "test_clocks",
)
"""Files that start servers, and so take longest."""

OUR_THREADS = ("run-", "housekeeping", "periodic-tasks", "heartbeat", "title-", "drain")


@pytest.fixture(autouse=True)
def each_event_of_our_own_client_is_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test whose `BatonClient` is sent an event that docker-agent's clients would not expect."""

    def strict(answer: Answer) -> Iterator[tuple[int | None, str]]:
        for number, data in frames(answer):
            decode_as_sent(data.encode())
            yield number, data

    monkeypatch.setattr(event_stream, "frames", strict)


compile_routes_once()


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(OUR_THREADS)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="kill servers at more moments than `make test` does"
    )
    parser.addoption(
        "--slow", action="store_true", help="run the tests that `make test` leaves out for their time"
    )
    parser.addoption("--pictures", action="store_true", help="draw the pictures of the console's pages anew")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """What is collected stays until the end, so no collection of garbage looks through it, then or later."""
    gc.disable()
    if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        compile_a_share()
    collected = yield
    if "httpx2" in sys.modules:
        import_module("hypothesis")  # it warns if trio, which httpx2 loads, is frozen before it comes
    gc.enable()
    gc.collect()
    gc.freeze()
    return collected


def compile_a_share() -> None:
    """Imports the test files in turn with the other workers, each of which would otherwise rewrite the assertions of
    all the files: after this it finds most of them in the cache."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for file in sorted(TESTS.rglob("test_*.py"))[number::count]:
        with suppress(Exception):  # the collection will tell of it
            import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that are marked as thorough are left out, unless they are asked for, and so are slow ones, unless a path
    names them; long tests come first, so that no process has a long file left when the others have nothing left to
    do."""
    left_out: list[pytest.Item] = []
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        left_out += [item for item in items if is_slow(item) != config.getoption("--slow")]
    leave_out(config, items, left_out)
    items.sort(key=lambda item: rank(item.path))


def is_slow(item: pytest.Item) -> bool:
    name = item.nodeid.removeprefix("tests/")
    return name.startswith(SLOW) or (
        name.startswith(ON_POSTGRES) and item.get_closest_marker("postgres") is not None
    )


def leave_out(config: pytest.Config, items: list[pytest.Item], those: Sequence[pytest.Item]) -> None:
    ids = {id(item) for item in those}
    items[:] = [item for item in items if id(item) not in ids]
    config.hook.pytest_deselected(items=those)


@cache
def rank(file: Path) -> int:
    name = file.relative_to(TESTS).as_posix()
    return next((place for place, start in enumerate(LONG) if name.startswith(start)), len(LONG))


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves a run's thread or a housekeeper running in this process."""
    yield
    eventually(lambda: not our_threads(), f"these threads ended: {our_threads()}")


@pytest.fixture(scope="session")
def stand_in() -> Iterator[OfflineServer]:
    """One stand-in for the whole test run."""
    with OfflineServer() as server:
        yield server


@pytest.fixture
def model(stand_in: OfflineServer) -> Iterator[OfflineServer]:
    """The stand-in, with its memory wiped; a transcript that the API would refuse fails the test that made it."""
    stand_in.reset()
    yield stand_in
    assert stand_in.violations == []


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if find_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with PostgresServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("psycopg.Cursor.executemany", _refuse)
        yield server


def _refuse(*_: object, **__: object) -> None:
    """A process that is stopped after a pipeline keeps its locks for ever: PostgreSQL does not count how long it is
    idle then."""
    raise AssertionError("several rows are sent in a pipeline")


KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as `migrate` leaves it, once of each kind."""
    if request.param == "sqlite":
        return sqlite_in(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.migrated_database()


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'baton.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def make_settings(tmp_path: Path, model_url: str, **more: Any) -> Settings:
    """`auth_tokens` are pairs: a name, with a role or without ("ann/operator"), and its token."""
    values: dict[str, Any] = {
        "agents": AGENTS,
        "database_url": more.pop("database_url", "") or sqlite_in(tmp_path),
        "api_key": "test-key-of-the-tests",
        "api_base_url": model_url,
        "roots": (tmp_path,),
        "titles": False,  # one more request to the model; the tests of titles switch it on
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    tokens = [parse_token(f"{name}:{token}") for name, token in more.pop("auth_tokens", ())]
    return Settings(**{**values, **more}, auth_tokens=tuple(tokens))


@contextmanager
def team_server(directory: Path, model_url: str, team: str) -> Iterator[Server]:
    """A server in this process whose one agent file, `team`, has this text."""
    (directory / "team.yaml").write_text(team)
    built = build(make_settings(directory, model_url, agents=directory / "team.yaml"))
    yield built
    built.close()


def server_of(team: str) -> Callable[..., Iterator[Server]]:
    """The fixture `server` of a module whose tests have this agent file."""

    @pytest.fixture(name="server")
    def server_of_team(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
        with team_server(tmp_path, model.url, team) as built:
            yield built

    return server_of_team


def held_by(server: Server) -> list[str]:
    """The resources that runs which have ended should not hold any more: sessions, threads, streams, database
    connections.

    A run that waits for a person has not ended, so it may.
    """
    runs = [live for live in server.runtime.runs.all() if live.waiting_for is None]
    held = [f"a run of {live.run.session_id}" for live in runs]
    if not server.runtime.runs.all():
        held += [f"the lock of {session_id}" for session_id in server.runtime.locks.held()]
    return held + [f"{count} database connections" for count in [server.store.database.in_use] if count]


def children() -> list[str]:
    """Processes that were started by this one, except what serves the whole test run."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    names = [
        Path(f"/proc/{pid}/comm").read_text().strip() for pid in mine if Path(f"/proc/{pid}/comm").exists()
    ]
    return [name for name in names if name in ("sh", "bash", "sleep", "cat")]


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    """Baton in this process, without HTTP in front: `server.app.test_client()`, `server.runtime`."""
    built = build(make_settings(tmp_path, model.url))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()
    assert not children(), "a process was left behind"


@pytest.fixture
def local(server: Server) -> LocalClient:
    """A user of it."""
    return LocalClient(server)


StartBaton = Callable[..., BatonProcess]


@pytest.fixture
def start_baton(tmp_path: Path, model: OfflineServer) -> Iterator[StartBaton]:
    """Starts real gunicorns that share a directory (and so a database, unless told otherwise)."""
    started: list[BatonProcess] = []

    def start(**options: Any) -> BatonProcess:
        settings = options.pop("settings", None)
        process = BatonProcess(
            tmp_path, model_url=model.url, agents=options.pop("agents", AGENTS), settings=settings, **options
        )
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def baton(start_baton: StartBaton) -> BatonProcess:
    """One real gunicorn with the defaults."""
    return start_baton()


@pytest.fixture
def client(baton: BatonProcess) -> Iterator[Client]:
    one = Client(baton.url)
    yield one
    one.close()
