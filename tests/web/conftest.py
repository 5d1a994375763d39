"""A Baton in this process for tests that start no run, and what its database holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings

Dump = Callable[[], list[str]]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    """Shared by a module's tests, so none of them may start a run."""
    built = build(make_settings(tmp_path_factory.mktemp("quiet"), stand_in.url))
    yield built
    built.close()


@pytest.fixture
def http(quiet: Server) -> FlaskClient:
    return quiet.app.test_client()


@pytest.fixture
def dump(quiet: Server) -> Dump:
    """Every row there is, as SQL; but those of the index of words, which follows them by itself."""
    path = quiet.settings.database_url.removeprefix("sqlite:///")

    def rows() -> list[str]:
        connection = sqlite3.connect(path)
        try:
            return [row for row in connection.iterdump() if not row.startswith('INSERT INTO "search_')]
        finally:
            connection.close()

    return rows


@pytest.fixture(scope="module")
def session(quiet: Server) -> str:
    """For tests whose requests are all refused."""
    return new_session(quiet.app.test_client())


def new_session(http: FlaskClient, **headers: str) -> str:
    return str(http.post("/api/sessions", json={}, headers=headers).get_json()["id"])
