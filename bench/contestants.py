"""The servers that are measured: Baton as it is installed, the afternoon relay under the same gunicorn, and the
floor."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.dialects import DIALECTS, Dialect
from bench.environments import python_of
from bench.processes import (
    ROOT,
    Server,
    fake_model,
    free_port,
    started,
    wait_until_it_answers,
    workers_of,
)

OURS: Final = "ours"
RELAY: Final = "afternoon relay"
FLOOR: Final = "raw threads"
CONTESTANTS: Final = (OURS, RELAY, FLOOR)

MAX_STREAMS: Final = 1100
"""The one number that is not a default: a thousand streams have to be allowed."""

AGNO: Final = "Agno"
LANGGRAPH: Final = "LangGraph"
PEERS: Final = (AGNO, LANGGRAPH)
"""Run in environments of their own, which `bench.environments` makes."""

COMMANDS: Final[Mapping[str, list[str]]] = {
    OURS: ["-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")],
    RELAY: ["-m", "gunicorn", "-c", str(ROOT / "bench" / "relay_settings.py")],
    FLOOR: ["-m", "bench.raw_relay"],
    AGNO: ["-m", "uvicorn", "bench.peers.agno_server:app", "--log-level", "warning", "--port"],
    LANGGRAPH: ["-m", "bench.peers.langgraph_server"],
}
_WITH_PORT: Final = (FLOOR, *PEERS)


def dialect_name(contestant: str) -> str:
    return contestant.lower() if contestant in PEERS else "docker-agent"


def dialect_of(contestant: str) -> Dialect:
    return DIALECTS[dialect_name(contestant)]


@dataclass(frozen=True, slots=True)
class Arena:
    """The resources that the servers of one run of the benchmark share."""

    directory: Path
    model_url: str
    model_pid: int

    def new_directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.directory))

    @contextmanager
    def server(self, contestant: str, *, home: Path | None = None, **settings: str) -> Iterator[Server]:
        """On a port of its own and, unless it comes back to an old `home`, in a directory of its own."""
        directory, port = home or self.new_directory(), free_port()
        command = COMMANDS[contestant] + ([str(port)] if contestant in _WITH_PORT else [])
        environment = {
            "ANTHROPIC_API_KEY": "key-of-the-benchmark",
            "ANTHROPIC_BASE_URL": self.model_url,
            "BATON_BIND": f"127.0.0.1:{port}",
            "BATON_AGENTS": str(ROOT / "bench" / "agents"),
            "BATON_DATABASE_URL": f"sqlite:///{directory / 'baton.db'}",
            "BATON_MAX_STREAMS": str(MAX_STREAMS),
            **settings,
        }
        python = python_of(contestant) if contestant in PEERS else sys.executable
        begin = time.monotonic()
        with started(command, directory, environment, python=python) as process:
            wait_until_it_answers(port, process, directory / "log", path=dialect_of(contestant).ping)
            seconds = time.monotonic() - begin
            yield Server(contestant, port, process, workers_of(process), directory, seconds)

    @contextmanager
    def servers(self, contestants: Sequence[str] = CONTESTANTS) -> Iterator[list[Server]]:
        """One of each."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.server(contestant)) for contestant in contestants]


@contextmanager
def arena() -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as name:
        directory = Path(name)
        with fake_model(directory) as (url, pid):
            yield Arena(directory, url, pid)
