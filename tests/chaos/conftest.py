"""Three servers on one database, for each kind of database; they serve a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anthropic_standin.standin_server import OfflineServer
from tests.chaos.cluster import Cluster
from tests.harness.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def cluster(request: pytest.FixtureRequest, stand_in: OfflineServer) -> Iterator[Cluster]:
    url = ""
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database()
    with Cluster(size=2, model_url=stand_in.url, database_url=url) as started:
        yield started
