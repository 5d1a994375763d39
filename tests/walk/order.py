"""The order for a child."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from app.factory import Server, build
from tests.conftest import make_settings
from tests.walk.faults import Fault
from tests.walk.haste import LEASE_SECONDS

TEAM: Final = Path(__file__).parent / "team"


@dataclass(frozen=True, slots=True)
class Order:
    """One step: a scenario, and what goes wrong in it. Without a point nothing does, and the touches are counted.

    `spared` are descriptors that stay open when nothing has gone wrong."""

    scenario: str
    point: str
    fault: Fault
    directory: str
    database_url: str
    model_url: str
    session: str
    word: str
    spared: tuple[str, ...] = ()

    @property
    def journal(self) -> Path:
        return Path(self.directory, f"journal-{self.word}")

    @property
    def shell_journal(self) -> Path:
        return Path(self.directory, f"shell-{self.word}")

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    def server(self) -> Server:
        return walking_server(Path(self.directory), self.model_url, self.database_url)


def walking_server(directory: Path, model_url: str, database_url: str) -> Server:
    """The server under test, and the one that comes after it."""
    settings = make_settings(
        directory, model_url, agents=TEAM, database_url=database_url, lease_seconds=LEASE_SECONDS
    )
    return build(settings)
