"""Whatever a tool or hook starts runs in the cage: it reads no secret, writes nothing outside, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.conftest import StartBaton
from tests.harness.cages import require_cage
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

pytestmark = pytest.mark.usefixtures("_cage")

TOKEN: Final = "token-of-anna-0123456789"
SECRET: Final = "hidden-from-all-tools"

ATTACK: Final = r"""
echo begun
cat /proc/$PPID/environ /proc/[0-9]*/environ | tr '\0' '\n'
ls -d /proc/[0-9]* | sed s/^/process:/
ls -d /dev/shm/* /run/* /var/* /root/* /home/* BATON_DB AGENTS TOKENS OTHER /etc/baton/* | sed s/^/seen:/
cat BATON_DB AGENTS/* TOKENS OTHER/secret.txt
echo evil > OTHER/planted
echo evil > /etc/planted && echo OPEN etc
echo evil > /usr/planted && echo OPEN usr
echo evil > /planted && echo OPEN root
echo evil > ROOT/planted
(exec 3<>/dev/tcp/127.0.0.1/PORT) && echo OPEN network
kill -9 SERVER && echo OPEN signal
mount -o remount,rw / && echo OPEN mount
unshare -Ur true && echo OPEN name spaces
grep -E '^Cap(Eff|Bnd)' /proc/self/status
echo mine > kept-NAME.txt
echo ended
"""

STARTERS: Final = ("shell", "job", "script", "post_edit", "mcp", "before", "after", "begin", "end")
TURNS: Final = (
    '[call shell {"cmd":"bash attack.sh shell > shell.out 2> shell.err"}]',
    '[then][call run_background_job {"cmd":"bash attack.sh job > job.out 2>&1"}]',
    "[then][call act {}]",
    '[then][call write_file {"path":"a.txt","content":"a"}]',
    "[then][say done]",
)


@pytest.fixture
def _cage() -> None:
    require_cage()


def write_agents(folder: Path, **network: bool) -> Path:
    def run(name: str) -> str:
        return f"bash attack.sh {name} > {name}.out 2>&1"

    def hook(name: str) -> list[dict[str, Any]]:
        return [{"type": "command", "command": run(name), **network}]

    root = {
        "model": "anthropic/claude-sonnet-5-5",
        "description": "d",
        "instruction": "i",
        "toolsets": [
            {"type": "shell", **network},
            {"type": "script", "shell": {"act": {"cmd": run("script"), "description": "d"}}, **network},
            {"type": "filesystem", "post_edit": [{"path": "*", "cmd": run("post_edit")}], **network},
            {"type": "mcp", "command": "sh", "args": ["-c", run("mcp")], **network},
        ],
        "hooks": {
            "pre_tool_use": [{"hooks": hook("before")}],
            "post_tool_use": [{"hooks": hook("after")}],
            "session_start": hook("begin"),
            "session_end": hook("end"),
        },
    }
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump({"agents": {"root": root}}))
    return file


class Place:
    """A caged server with two sessions' directories; its database, agents and tokens lie in the root, as badly as can
    be."""

    def __init__(self, start: StartBaton, root: Path, **network: bool) -> None:
        self.root = root
        self.mine, self.other = root / "mine", root / "other"
        self.agents = root / "agents"
        for directory in (self.mine, self.other, self.agents):
            directory.mkdir()
        (self.other / "secret.txt").write_text(SECRET)
        tokens = root / "tokens.txt"
        tokens.write_text(f"anna/operator:{TOKEN}\n# {SECRET}\n")
        tokens.chmod(0o600)
        write_agents(self.agents, **network)
        settings = {
            "BATON_SANDBOX": "bubblewrap",
            "BATON_TOKENS_FILE": str(tokens),
            "PGPASSWORD": SECRET,
        }
        self.server: BatonProcess = start(agents=self.agents, settings=settings, cold=True)
        self.client = Client(self.server.url, token=TOKEN)

    def script(self, text: str) -> None:
        words = {
            "BATON_DB": self.root / "baton.db",
            "AGENTS": self.agents,
            "TOKENS": self.root / "tokens.txt",
            "OTHER": self.other,
            "ROOT": self.root,
            "PORT": self.server.port,
            "SERVER": self.server.pid,
            "NAME": "$1",
        }
        for word, value in words.items():
            text = text.replace(word, str(value))
        (self.mine / "attack.sh").write_text(text)

    def session(self, directory: Path | None = None) -> str:
        return self.client.new_session(tools_approved=True, working_dir=str(directory or self.mine))


@pytest.fixture
def place(start_baton: StartBaton, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(**network: bool) -> Place:
        made.append(Place(start_baton, tmp_path, **network))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


def ended(file: Path) -> str:
    text = file.read_text(errors="replace") if file.exists() else ""
    return text if text.rstrip().endswith("ended") else ""


def test_whatever_a_tool_or_hook_starts_is_caged(place: Callable[..., Place]) -> None:
    here = place()
    here.script(ATTACK)
    here.client.say(here.session(), "".join(TURNS), agent="all")
    for name in STARTERS:
        told = eventually(lambda name=name: ended(here.mine / f"{name}.out"), name)
        assert SECRET not in told, name
        assert TOKEN not in told, name
        assert "OPEN" not in told, name
        assert "seen:" not in told, name
        assert 1 < told.count("process:") < 12, name
        assert told.count("0000000000000000") == 2, name
        assert (here.mine / f"kept-{name}.txt").read_text() == "mine\n", name
    assert not (here.other / "planted").exists()
    assert not (here.root / "planted").exists()
    assert here.client.http.get(f"{here.server.url}/api/ping").ok


def test_there_is_a_network_where_the_agents_file_says_so(place: Callable[..., Place]) -> None:
    here = place(network=True)
    here.script(ATTACK)
    here.client.say(here.session(), "".join(TURNS), agent="all")
    for name in STARTERS:
        told = eventually(lambda name=name: ended(here.mine / f"{name}.out"), name)
        assert [line for line in told.splitlines() if line.startswith("OPEN")] == ["OPEN network"], name


def test_a_session_in_the_servers_own_directory_sees_none_of_its_files(place: Callable[..., Place]) -> None:
    here = place()
    (here.root / "attack.sh").touch()
    cmd = "ls; cat baton.db tokens.txt agents/* 2>&1; cp tokens.txt copy; rm -rf agents; echo done"
    events = here.client.say(here.session(here.root), f"[call shell {json.dumps({'cmd': cmd})}]", agent="all")
    told = json.dumps(events)
    assert "done" in told
    assert SECRET not in told
    assert TOKEN not in told
    assert "SQLite format" not in told
    assert (here.agents / "all.yaml").exists()


def test_nothing_outlives_the_command_or_a_killed_worker(place: Callable[..., Place]) -> None:
    """A process that hides from its parent, its session and its environment is still in the cage."""
    here = place()
    here.script("true\n")  # a hook that can't run forbids the calls
    witness = f"witness-{os.getpid()}"
    (here.mine / "hide.sh").write_text(f"env -i setsid bash -c 'exec -a {witness} sleep 1000' &\n")
    here.client.say(here.session(), '[call shell {"cmd":"bash hide.sh; echo left > left.txt"}]', agent="all")
    assert (here.mine / "left.txt").exists()
    eventually(lambda: not named(witness), "the command's last process is dead")

    fifo = here.mine / "fifo"
    os.mkfifo(fifo)
    cmd = "bash hide.sh; echo now > fifo; sleep 1000"
    body = f"[call shell {json.dumps({'cmd': cmd, 'timeout': 600})}]"
    thread = threading.Thread(target=_ignore_the_end, args=(here, body), daemon=True)
    thread.start()
    assert fifo.read_text() == "now\n"
    eventually(lambda: named(witness), "the hidden process")
    for worker in here.server.worker_pids():
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: not named(witness), "the killed worker's commands are dead")
    thread.join()


def _ignore_the_end(here: Place, body: str) -> None:
    try:
        here.client.say(here.session(), body, agent="all")
    except Exception:
        pass


def named(word: str) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(word.encode() + b"\0"):
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_a_server_that_can_make_no_cage_does_not_start(tmp_path: Path, start_baton: StartBaton) -> None:
    settings = {"BATON_SANDBOX": "bubblewrap", "PATH": str(tmp_path)}
    (tmp_path / "bwrap").write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(AssertionError, match=r"BATON_SANDBOX: bubblewrap can't be used: user name spaces .*"):
        start_baton(settings=settings, cold=True)
