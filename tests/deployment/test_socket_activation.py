"""A socket that somebody else opened, as systemd hands it over: fd 3, LISTEN_FDS and LISTEN_PID."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.harness.process import GUNICORN, ROOT, eventually, free_port

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


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
def test_systemd_hands_its_socket_over_and_is_told_when_the_server_is_ready(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    """By systemd's own program; `Type=notify` in the unit wants to be told. A file of tokens opens it to others."""
    (tmp_path / "tokens").write_text("ann:a-token-of-some-length\n")
    (tmp_path / "tokens").chmod(0o600)
    more = {"BATON_TOKENS_FILE": str(tmp_path / "tokens"), "NOTIFY_SOCKET": str(tmp_path / "notify")}
    port = free_port()
    command = ["systemd-socket-activate", f"--listen=0.0.0.0:{port}"]
    command += [f"--setenv={name}={value}" for name, value in {**environment, **more}.items()]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (tmp_path / "log").open("wb") as log:
        told.bind(more["NOTIFY_SOCKET"])
        told.settimeout(60)
        gunicorn = [str(GUNICORN), "-c", str(ROOT / "gunicorn.conf.py")]
        process = subprocess.Popen([*command, *gunicorn], cwd=tmp_path, stdout=log, stderr=log)
        try:
            eventually(lambda: is_listened_on(port), "systemd listens")
            refused = requests.get(f"http://127.0.0.1:{port}/api/sessions", timeout=60)
            described = requests.get(f"http://127.0.0.1:{port}/openapi.json", timeout=60)
            assert b"READY=1" in told.recv(1000)
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert refused.status_code == 401
    assert "securitySchemes" in described.json()["components"]


def is_listened_on(port: int) -> bool:
    """Without connecting, which would start the server."""
    wanted = f":{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())
