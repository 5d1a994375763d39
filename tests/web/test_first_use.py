"""What only users need is loaded when the first one comes, and not when somebody looks whether the server is well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.runtime.lazy_model import LazyModel
from tests.conftest import make_settings


@pytest.fixture
def server(tmp_path: Path, stand_in: OfflineServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(LazyModel, "prepare", lambda model: prepared.append(model))
    prepared.clear()
    built = build(make_settings(tmp_path, stand_in.url))
    yield built
    built.close()


prepared: list[LazyModel] = []


def test_the_models_client_is_loaded_with_the_first_request_that_uses_the_server(server: Server) -> None:
    http = server.app.test_client()
    for path in ("/api/ping", "/health", "/metrics", "/nothing/here"):
        http.get(path)
    assert prepared == []
    http.get("/api/agents")
    assert prepared == [server.model]
    http.get("/api/agents")
    assert len(prepared) == 1
