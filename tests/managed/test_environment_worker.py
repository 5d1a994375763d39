"""The official SDK's own worker at a real server: it makes the calls, and dies or sleeps in the middle of one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from tests.harness.process import BatonProcess, eventually
from tests.harness.sqlite import NAME
from tests.managed.self_hosted import RESULT
from tests.managed.test_sessions import say
from tests.managed.toolset_calls import TOOLSET, call
from tests.managed.worker_process import started

Start = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def client(baton: BatonProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as one:
        yield one


@pytest.fixture
def start(baton: BatonProcess, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of an environment in a directory of that name."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(environment: str, name: str) -> subprocess.Popen[bytes]:
        running.append(started(baton.url, environment, tmp_path / name))
        return running[-1]

    yield begin
    for one in running:
        one.kill()
        one.wait()


def _session(client: Anthropic, text: str) -> tuple[str, str]:
    tools: Any = [{"type": TOOLSET}]
    agent = client.beta.agents.create(name="W", model="claude-sonnet-5-5", tools=tools)
    environment = client.beta.environments.create(name="elsewhere", config={"type": "self_hosted"}).id
    first: Any = [say(text)]
    made = client.beta.sessions.create(agent=agent.id, environment_id=environment, initial_events=first)
    return environment, made.id


def _stops(client: Anthropic, session: str) -> list[str]:
    found: list[Any] = list(client.beta.sessions.events.list(session, types=["session.status_idle"]))
    return [event.stop_reason.type for event in found]


def _results(client: Anthropic, session: str) -> list[tuple[str, bool]]:
    results: Any = [RESULT]
    found: list[Any] = list(client.beta.sessions.events.list(session, types=results))
    return [("".join(part.text for part in one.content), one.is_error) for one in found]


def test_the_sdks_worker_makes_the_calls(
    baton: BatonProcess, client: Anthropic, start: Start, tmp_path: Path
) -> None:
    text = call("write", file_path="a.txt", content="text") + call("bash", command="pwd; cat a.txt")
    environment, session = _session(client, f"{text}[then]{call('read', file_path='b.txt')}[then][say Done.]")
    start(environment, "one")
    eventually(lambda: _stops(client, session)[-1:] == ["end_turn"], "the turn has ended")
    written, listed, read = _results(client, session)
    assert (written[1], listed) == (False, (f"{tmp_path / 'one'}\ntext", False))
    assert read[1]
    work = client.beta.environments.work
    eventually(lambda: [one.state for one in work.list(environment)] == ["stopped"], "the worker is done")
    assert "session.error" not in [event.type for event in client.beta.sessions.events.list(session)]


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_worker_is_lost_in_the_middle_of_a_call(
    baton: BatonProcess, client: Anthropic, start: Start, tmp_path: Path, is_paused: bool
) -> None:
    """The call is not made again, its outcome is unknown, and another worker goes on."""
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    slow = f"echo begun >> {marks}; until [ -e {gate} ]; do sleep 0.05; done; echo done >> {marks}"
    quick = f"echo second >> {marks}; echo made"
    environment, session = _session(
        client,
        f"{call('bash', command=slow)}[then]{call('bash', command=quick)}[then][say Done.]",
    )
    first = start(environment, "one")
    eventually(lambda: marks.exists() and marks.read_text(), "the call is under way")
    os.kill(first.pid, signal.SIGSTOP if is_paused else signal.SIGKILL)
    with closing(sqlite3.connect(baton.directory / NAME)) as database, database:
        database.execute("UPDATE work_items SET lease_expires_at = 1.0")
    start(environment, "two")
    eventually(lambda: _stops(client, session)[-1:] == ["end_turn"], "another worker has gone on")
    gate.touch()
    eventually(lambda: marks.read_text().endswith("done\n"), "the command is done")
    if is_paused:
        os.kill(first.pid, signal.SIGCONT)
        log = tmp_path / "one" / "worker.log"
        eventually(lambda: " 401 " in log.read_text(), "the result of the first worker is refused")
    assert marks.read_text() == "begun\nsecond\ndone\n"
    (unknown, is_error), second = _results(client, session)
    assert unknown.startswith("The outcome of this call is unknown: the worker")
    assert (is_error, second) == (True, ("made", False))
    (item,) = client.beta.environments.work.list(environment)
    eventually(
        lambda: (
            client.beta.environments.work.retrieve(item.id, environment_id=environment).state == "stopped"
        ),
        "the second worker is done",
    )
