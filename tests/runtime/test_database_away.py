"""A run outlives a database that stays away for a while, wherever in the run that happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from anthropic_standin.standin_server import OfflineServer
from app.errors import StoreUnavailable
from app.factory import Server, build
from app.runtime import patience
from app.store.engine import Database
from tests.chaos.invariants import broken_promises
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.harness.wire import Event
from tests.while_it_runs.talk import follow_up

TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    description: Leads
    sub_agents: [helper]
    handoffs: [successor]
    toolsets: [{type: todo}, {type: think}, {type: shell}]
  helper: {model: anthropic/claude-haiku-5-5, description: Helps, toolsets: [{type: todo}]}
  successor: {model: anthropic/claude-haiku-5-5, description: Goes on}
"""

TRIES_AWAY = 4
"""For how many transactions of the run the database stays away."""

Open = Callable[[], AbstractContextManager[Connection]]


@dataclass
class Weather:
    """Counts the transactions of the runs' threads, and makes some fail: the failing ones are numbered from 1."""

    touches: int = 0
    failing: range = range(0)
    after: bool = False  # the transaction is committed, and only its answer is lost
    failed: list[str] = field(default_factory=list)

    def over(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        for kind in ("reading", "writing", "glance"):
            monkeypatch.setattr(database, kind, self._over(kind, getattr(database, kind)))

    def begin(self, failing: range = range(0), *, after: bool = False) -> None:
        self.touches, self.failing, self.after, self.failed = 0, failing, after, []

    def _over(self, kind: str, real: Open) -> Open:
        @contextmanager
        def opened() -> Iterator[Connection]:
            fails = False
            if threading.current_thread().name.startswith("run-"):
                self.touches += 1
                fails = self.touches in self.failing
            if fails:
                self.failed.append(kind)
            if fails and not self.after:
                raise StoreUnavailable()
            with real() as connection:
                yield connection
            if fails:
                raise StoreUnavailable()

        return opened


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    (tmp_path / "team.yaml").write_text(TEAM)
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml", session_budget=100.0))
    yield built
    built.close()


@pytest.fixture
def weather(server: Server, monkeypatch: pytest.MonkeyPatch) -> Weather:
    made = Weather()
    made.over(server.store.database, monkeypatch)
    return made


def _call(name: str, **arguments: Any) -> str:
    return f"[call {name} {json.dumps(arguments)}]"


TOOL = _call("create_todo", description="wash") + _call("think", thought="hm") + "[then][say done]"
ASKS = _call("shell", cmd="true") + "[then][say done]"
TASK = (
    _call("transfer_task", agent="helper", task=_call("create_todo", description="dry"), expected_output="")
    + "[then][say done]"
)
HANDOFF = _call("handoff", agent="successor") + "[then][say taken over]"


def _run(client: LocalClient, session: str, text: str) -> list[Event]:
    return client.say(session, text, agent="team")


def _run_with_follow_up(client: LocalClient, session: str, text: str) -> list[Event]:
    """The follow-up waits in the queue before the run begins."""
    follow_up(client, session, "[say and then]")
    return _run(client, session, text)


def _run_with_approval(client: LocalClient, session: str, text: str) -> list[Event]:
    with client.run(session, text, agent="team") as stream:
        stream.until("tool_call_confirmation")
        client.resume(session, "approve-session")
        return stream.rest()


Scenario = Callable[[LocalClient, str, str], list[Event]]


@pytest.mark.parametrize("way", ["stays away", "answer is lost"])
@pytest.mark.parametrize(
    ("scenario", "text", "approved"),
    [
        (_run, TOOL, True),
        (_run, TASK, True),
        (_run, HANDOFF, True),
        (_run_with_follow_up, TOOL, True),
        (_run_with_approval, ASKS, False),
    ],
    ids=["tools", "task", "hand-off", "follow-up", "approval"],
)
def test_a_run_finishes_whichever_of_its_transactions_fails(
    server: Server, weather: Weather, scenario: Scenario, text: str, approved: bool, way: str
) -> None:
    client = LocalClient(server)

    def run() -> list[str]:
        session = client.new_session(tools_approved=approved)
        events = scenario(client, session, text)
        client.wait_until_free(session)
        assert [run.status for run in server.store.runs.recent(session_id=session)] == ["finished"]
        if text != TASK:  # the invariants know no streams that have another one's inside
            assert broken_promises(server.store, only=session) == []
        return [event["type"] for event in events if event["type"] != "token_usage"]

    weather.begin()
    undisturbed, count = run(), weather.touches
    assert count > 5
    for number in range(1, count + 1):
        tries = TRIES_AWAY if way == "stays away" else 1
        weather.begin(range(number, number + tries), after=way == "answer is lost")
        assert run() == undisturbed, f"transaction {number} of {count}, {weather.failed}"
        assert len(weather.failed) == tries
