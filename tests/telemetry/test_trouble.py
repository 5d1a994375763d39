"""Trouble with what only looks on breaks no session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.telemetry.metrics import Metrics
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span, Tracing
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient


class BrokenTracing(Tracing):
    def run(self, *, session_id: str, run_id: str, agent: str) -> AbstractContextManager[Span]:
        raise RuntimeError("no trace today")


class BrokenMetrics(Metrics):
    def run_started(self) -> None:
        raise RuntimeError("no numbers today")

    def run_ended(self, status: str, code: str, seconds: float | None = None) -> None:
        raise RuntimeError("no numbers today")


@pytest.fixture(
    params=[Telemetry(tracing=BrokenTracing()), Telemetry(metrics=BrokenMetrics())],
    ids=["tracing", "metrics"],
)
def client(request: pytest.FixtureRequest, tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    built: Server = build(make_settings(tmp_path, model.url), telemetry=request.param)
    yield LocalClient(built)
    built.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_that_can_not_be_watched_fails_and_leaves_its_session_free(client: LocalClient) -> None:
    session = client.new_session()
    for _ in range(2):
        with client.run(session, "[say hello]") as stream:
            assert stream.rest()[-1]["type"] == "stream_stopped"
        client.wait_until_free(session)
    assert client.server.runtime.locks.held() == frozenset()
