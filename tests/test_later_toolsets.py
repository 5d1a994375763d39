"""Toolsets of later agent files in a running server: what they keep, and whose sessions they read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import call_text, of_type

AGENT = {
    "model": "anthropic/claude-sonnet-5-5",
    "instruction": "i",
    "toolsets": [{"type": "session_context"}, {"type": "plan"}, {"type": "scheduler"}],
}
ADA, BEN = "ada-" + "x" * 32, "ben-" + "x" * 32


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    (tmp_path / "one.yaml").write_text(json.dumps({"version": "16", "agents": {"root": AGENT}}))
    tokens = (("ada", ADA), ("ben", BEN))
    built = build(make_settings(tmp_path, model.url, agents=tmp_path / "one.yaml", auth_tokens=tokens))
    yield built
    built.close()


def result(client: LocalClient, session: str, name: str, **arguments: Any) -> str:
    events = client.say(session, call_text(name, **arguments) + "[then][say done]", agent="one")
    return str(of_type(events, "tool_call_response")[-1]["response"])


def test_an_agent_reads_the_other_sessions_of_its_owner_and_nobody_elses(server: Server) -> None:
    ada, ben = LocalClient(server, token=ADA), LocalClient(server, token=BEN)
    secret = ben.new_session()
    ben.say(secret, "[say Ben's own]", agent="one")
    earlier, here = ada.new_session(), ada.new_session()
    ada.say(earlier, "[say Ada's own]", agent="one")
    assert [one["id"] for one in json.loads(result(ada, here, "list_sessions"))] == [earlier]
    assert "## assistant\nAda's own" in result(ada, here, "read_session", session_id="-1")
    for hidden in (secret, here, "nowhere"):
        assert result(ada, here, "read_session", session_id=hidden) == f'session "{hidden}" not found'


def test_a_plan_is_there_in_the_sessions_next_run_and_in_no_other_session(server: Server) -> None:
    client = LocalClient(server, token=ADA)
    session = client.new_session(tools_approved=True)
    assert result(client, session, "write_plan", content="# First") == "Plan saved with the session"
    assert result(client, session, "read_plan") == "# First"
    assert result(client, client.new_session(), "read_plan").startswith("no plan written yet")


def test_a_toolset_that_is_not_built_is_told_when_a_run_begins(server: Server) -> None:
    client = LocalClient(server, token=ADA)
    (warning,) = of_type(client.say(client.new_session(), "[say hi]", agent="one"), "warning")
    assert (
        "toolset type scheduler is not supported by this server: when a run has ended" in warning["message"]
    )
