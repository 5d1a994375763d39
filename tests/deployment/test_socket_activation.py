"""A socket that somebody else opened, as systemd hands it over: fd 3, LISTEN_FDS and LISTEN_PID."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from app.offline.server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import ROOT, free_port

FIRST_DESCRIPTOR = 3

HAND_OVER = f"""\
import os, sys
os.dup2(int(sys.argv[1]), {FIRST_DESCRIPTOR})
os.set_inheritable({FIRST_DESCRIPTOR}, True)
os.environ |= {{"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}}
os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", sys.argv[2]])
"""


@pytest.fixture
def environment(model: OfflineServer, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ANTHROPIC_API_KEY": "test-key-of-the-tests",
        "ANTHROPIC_BASE_URL": model.url,
        "BATON_AGENTS": str(AGENTS),
        "BATON_DATABASE_URL": f"sqlite:///{tmp_path / 'baton.db'}",
        "BATON_BIND": f"127.0.0.1:{free_port()}",
        "BATON_DRAIN_SECONDS": "0",
    }


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as one:
        yield one


def start(listener: socket.socket, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HAND_OVER, str(listener.fileno()), str(ROOT / "gunicorn.conf.py")]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=log.parent,
            env=dict(environment),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def test_who_connects_while_the_server_restarts_waits_and_is_answered(
    listener: socket.socket, environment: Mapping[str, str], tmp_path: Path
) -> None:
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/ping"
    for _ in range(2):  # nobody serves at this moment, and the request waits in the socket
        process = start(listener, environment, tmp_path / "log")
        try:
            assert requests.get(url, timeout=60).json() == {"status": "ok"}
        finally:
            process.terminate()
            process.wait(60)


def test_a_socket_that_can_be_reached_from_outside_needs_tokens(
    listener: socket.socket, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Whatever BATON_BIND says."""
    listener.bind(("0.0.0.0", 0))
    listener.listen(16)
    process = start(listener, environment, tmp_path / "log")
    assert process.wait(60) != 0
    assert "0.0.0.0 can be reached from outside: set BATON_AUTH_TOKENS" in (tmp_path / "log").read_text()
