"""A conversation reads from the model API's prompt cache what the API has read before: every change of a prompt's
prefix costs its users money. Counted by the stand-in, which keeps prefixes as the API does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

LEAST: Final = 0.9
"""Of the tokens that a cache which forgets nothing could have read."""

TEAM: Final = f"""
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    instruction: "{"Keep to the rules of the house. " * 200}"
    sub_agents: [reader]
    handoffs: [writer]
    toolsets: [{{type: think}}, {{type: todo}}]
  writer:
    model: anthropic/claude-sonnet-5-5
    instruction: "{"Write as the house writes. " * 200}"
    handoffs: [root]
    toolsets: [{{type: think}}]
  reader:
    model: anthropic/claude-sonnet-5-5
    instruction: "{"Read it from end to end. " * 200}"
    toolsets: [{{type: think}}]
"""

THINK: Final = '[call think {"thought": "step by step"}]'


@pytest.fixture
def start(tmp_path: Path, model: OfflineServer) -> Iterator[Callable[[], LocalClient]]:
    """Starts another process on the same database, as it were."""
    (tmp_path / "team.yaml").write_text(TEAM)
    servers: list[Server] = []

    def start() -> LocalClient:
        servers.append(build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml")))
        return LocalClient(servers[-1])

    yield start
    for server in servers:
        server.close()


def share(model: OfflineServer) -> float:
    uses = model.cache_uses
    known = sum(use.known for use in uses)
    assert known > 0
    return sum(use.read for use in uses) / known


def test_of_twenty_turns_with_tools(start: Callable[[], LocalClient], model: OfflineServer) -> None:
    client = start()
    session = client.new_session(tools_approved=True)
    client.say(session, "[then]".join([THINK] * 19 + ["[say done]"]), agent="team")
    assert len(model.cache_uses) == 20
    assert share(model) >= LEAST


def test_of_twenty_runs(start: Callable[[], LocalClient], model: OfflineServer) -> None:
    client = start()
    session = client.new_session(tools_approved=True)
    for number in range(20):
        client.say(session, f"[say {number}]", agent="team")
    assert share(model) >= LEAST


def test_of_turns_with_more_calls_than_the_api_looks_back(
    start: Callable[[], LocalClient], model: OfflineServer
) -> None:
    client = start()
    session = client.new_session(tools_approved=True)
    client.say(session, "[then]".join([THINK * 25] * 6 + ["[say done]"]), agent="team")
    assert share(model) >= LEAST


def test_after_a_restart(start: Callable[[], LocalClient], model: OfflineServer) -> None:
    session = start().new_session(tools_approved=True)
    for _ in range(6):
        start().say(session, f"{THINK}[then][say on]", agent="team")
    assert share(model) >= LEAST


def test_after_a_hand_off_and_back(start: Callable[[], LocalClient], model: OfflineServer) -> None:
    client = start()
    session = client.new_session(tools_approved=True)
    client.say(session, "[then]".join([THINK] * 6 + ["[say done]"]), agent="team")
    there = '[call handoff {"agent": "writer"}]'
    back = '[call handoff {"agent": "root"}]'
    for _ in range(3):
        client.say(session, "[then]".join([there, THINK, THINK, back, THINK, "[say back]"]), agent="team")
    assert share(model) >= LEAST


def test_of_tasks_for_the_same_agent(start: Callable[[], LocalClient], model: OfflineServer) -> None:
    client = start()
    session = client.new_session(tools_approved=True)
    task = '[call transfer_task {"agent": "reader", "task": "read", "expected_output": "words"}]'
    client.say(session, "[then]".join([task] * 5 + ["[say done]"]), agent="team")
    assert share(model) >= LEAST
