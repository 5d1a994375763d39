"""No command reads the server's secrets out of its processes, and no signal to the server loses them."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app import own_environment
from app.setting_fields import InvalidSettings
from app.settings import Settings
from tests.conftest import AGENTS
from tests.harness.process import GUNICORN, ROOT, STOP_SECONDS, BatonProcess, eventually
from tests.harness.wire import Client, text_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

OURS: Final = token_hex(8)
"""Servers of tests that run at the same time have other secrets, which they show until they have started."""
TOKEN: Final = f"token-of-anna-{OURS}"
SECRETS: Final = {
    "BATON_AUTH_TOKENS": f"anna/operator:{TOKEN}",
    "ANTHROPIC_API_KEY": f"secret-api-key-{OURS}",
    "PGPASSWORD": f"secret-postgres-{OURS}",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={OURS}",
    "GITHUB_TOKEN": f"secret-of-an-agent-file-{OURS}",
}
PROMOTED: Final = "Master has been promoted"
"""The line that gunicorn logs once the old master has gone, up to a second later. Until then it ignores USR2."""
WORDS: Final = (TOKEN, *(value for name, value in SECRETS.items() if name != "BATON_AUTH_TOKENS"))

ATTACK: Final = """
import os
from pathlib import Path

for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}/stat").st_uid in (0, os.getuid()):
            print("looked at", pid, flush=True)
            print(Path(f"/proc/{pid}/environ").read_bytes())
    except OSError as error:
        print(error)

shell = os.getppid()
server = int(Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[1])
for pid in (server, int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])):
    for what in (lambda: open(f"/proc/{pid}/mem", "rb"), lambda: os.readlink(f"/proc/{pid}/fd/0")):
        try:
            what()
            print("OPEN", pid)
        except PermissionError:
            print("CLOSED", pid)
"""


START: Final = (str(GUNICORN), "-c", str(ROOT / "gunicorn.conf.py"))
POWERLESS: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
"""The command that takes root's right to read every process from a server of the tests."""


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[BatonProcess]:
    server = BatonProcess(
        tmp_path, model_url=model.url, agents=AGENTS, settings=SECRETS, command=[*POWERLESS, *START]
    )
    group = server.start().pid
    yield server
    try:
        os.killpg(group, signal.SIGKILL)  # later masters are in it too
    except ProcessLookupError:
        pass
    server.kill()


@pytest.fixture
def anna(server: BatonProcess) -> Iterator[Client]:
    client = Client(server.url, token=TOKEN)
    yield client
    client.close()


def environments(master: int) -> dict[int, bytes]:
    """The environment that the kernel shows of the master and of everything that descends from it, by process."""
    found: dict[int, bytes] = {}
    new = [master]
    while new:
        pid = new.pop()
        try:
            new += children(pid)
            found[pid] = Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            found[pid] = b""
        except OSError:
            pass  # it has gone
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def leaks(*shown: bytes) -> list[str]:
    return [word for word in WORDS if word.encode() in b"".join(shown)]


def assert_kept(anna: Client, master: int) -> None:
    """Token and key are what they were, and the kernel shows them to nobody."""
    assert anna.http.get(f"{anna.url}/api/sessions", headers={"Authorization": ""}).status_code == 401
    assert text_of(anna.say(anna.new_session(), "[say still here]")) == "still here"
    assert leaks(*environments(master).values()) == []


def test_a_command_finds_no_secret_in_any_process_of_its_user(
    server: BatonProcess, anna: Client, tmp_path: Path
) -> None:
    (tmp_path / "attack.py").write_text(ATTACK)
    session = anna.new_session(tools_approved=True)
    anna.say(session, '[call shell {"cmd":"python3 attack.py > found.txt 2>&1"}]', agent="tools")
    found = (tmp_path / "found.txt").read_text()
    assert f"looked at {server.pid}\n" in found
    assert leaks(found.encode()) == []
    tried = [line.split()[0] for line in found.splitlines() if line.startswith(("OPEN ", "CLOSED "))]
    assert tried == ["CLOSED"] * 4


def test_a_killed_workers_successor_has_the_secrets(server: BatonProcess, anna: Client) -> None:
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: server.log().count("Booting worker") == 2, "another worker")
    assert_kept(anna, server.pid)


def test_a_reload_keeps_the_secrets(server: BatonProcess, anna: Client) -> None:
    old = server.worker_pids()
    server.signal(signal.SIGHUP)
    eventually(
        lambda: server.worker_pids() not in ([], old) and len(server.worker_pids()) == 1, "a new worker"
    )
    assert_kept(anna, server.pid)


def test_another_master_gets_the_secrets_and_shows_them_at_no_moment(
    server: BatonProcess, anna: Client
) -> None:
    """The third one gets them from the second one."""
    master = server.pid
    for booted in (2, 3):
        known = set(environments(master))
        seen: dict[int, bytes] = {}

        def all_is_seen(master: int = master, seen: dict[int, bytes] = seen, booted: int = booted) -> bool:
            for pid, shown in environments(master).items():
                seen[pid] = seen.get(pid, b"") + shown
            return server.log().count("Booting worker") == booted

        os.kill(master, signal.SIGUSR2)
        eventually(all_is_seen, "another master with a worker", seconds=60)
        (successor,) = (pid for pid in children(master) if pid not in known)
        assert b"GUNICORN_PID=" in seen[successor]
        assert leaks(*seen.values()) == []
        handle = os.pidfd_open(master)
        os.kill(master, signal.SIGTERM)
        assert select.select([handle], [], [], STOP_SECONDS)[0]
        os.close(handle)
        eventually(lambda times=booted - 1: server.log().count(PROMOTED) == times, "it heeds USR2")
        master = successor
        assert_kept(anna, master)


def test_an_older_version_refuses_to_start_with_what_is_handed_over() -> None:
    """It would serve without tokens, as it finds none."""
    with pytest.raises(InvalidSettings, match="did you mean BATON_AUTH_TOKENS"):
        Settings.from_environment({own_environment.MARKER: "7"})


@pytest.mark.parametrize("where", ["7777", "0", "memory", "nonsense"])
def test_a_server_whose_settings_were_lost_does_not_start(where: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), own_environment.MARKER: where}
    command = [str(GUNICORN), "-c", str(ROOT / "gunicorn.conf.py"), "--check-config"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1
    assert re.search("baton: .*(restart the server|did not arrive)", done.stderr)
    assert "Traceback" not in done.stderr


def test_an_application_without_its_settings_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own_environment.MARKER, "memory")
    with pytest.raises(own_environment.EnvironmentLost):
        own_environment.whole()


def test_a_process_that_started_the_server_and_shows_its_secrets_is_warned_of(
    tmp_path: Path, model: OfflineServer
) -> None:
    stays = ["sh", "-c", '"$@"; true', "sh", *START]
    server = BatonProcess(tmp_path, model_url=model.url, agents=AGENTS, settings=SECRETS, command=stays)
    with server:
        shown = "BATON_AUTH_TOKENS and ANTHROPIC_API_KEY and BATON_DATABASE_URL can be read"
        assert f"process {server.pid}: {shown}" in server.log()
        assert leaks(server.log().encode()) == []


def test_the_offline_stand_in_shows_no_secret_and_outlives_a_reload(
    tmp_path: Path, model: OfflineServer
) -> None:
    settings = {**SECRETS, "ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": ""}
    with BatonProcess(tmp_path, model_url=model.url, agents=AGENTS, settings=settings, cold=True) as server:
        anna = Client(server.url, token=TOKEN)
        assert len(environments(server.pid)) == 3  # a worker and the stand-in beside the master
        assert_kept(anna, server.pid)
        server.signal(signal.SIGHUP)
        eventually(lambda: server.log().count("Booting worker") == 2, "another worker")
        assert_kept(anna, server.pid)
        anna.close()
