"""The server as `app.factory` puts it together, but for the model's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import factory
from app.agent.model_client import ModelClient
from app.factory import Server
from app.runtime.lazy_model import load_anthropic
from app.settings import Settings
from bench.processes import ROOT


def build_with(
    model: ModelClient, url: str, directory: Path, places: int, *, agents: Path | None = None
) -> Server:
    """Sessions work in `directory`; the agents are those of the benchmark, unless others are named."""
    original = load_anthropic
    setattr(factory, "load_anthropic", lambda *_, **__: model)  # noqa: B010 - one part is replaced for a moment
    try:
        return factory.build(
            Settings(
                agents=agents or ROOT / "bench" / "agents",
                database_url=url,
                api_key="key-of-the-benchmark",
                roots=(directory,),
                max_streams=places,
                titles=False,
            )
        )
    finally:
        setattr(factory, "load_anthropic", original)  # noqa: B010


@contextmanager
def house(
    model: ModelClient, url: str, directory: Path, places: int, *, agents: Path | None = None
) -> Iterator[Server]:
    server = build_with(model, url, directory, places, agents=agents)
    try:
        yield server
    finally:
        server.close()
