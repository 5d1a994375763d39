"""The SDK's own worker makes the calls of an agent file's session, and the server dies in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic

from app.managed.teams import key_of
from tests.conftest import StartBaton
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client
from tests.managed.self_hosted import RESULT
from tests.managed.toolset_calls import call
from tests.managed.worker_process import started

TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    environment: elsewhere
    toolsets: [{type: agent_toolset, tools: [bash, read, write]}]
"""


@pytest.fixture
def baton(start_baton: StartBaton, tmp_path: Path) -> BatonProcess:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "coder.yaml").write_text(TEAM)
    return start_baton(agents=tmp_path / "agents")


@pytest.fixture
def environment(baton: BatonProcess, tmp_path: Path) -> Iterator[str]:
    """It has a worker, in the directory `there`."""
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as sdk:
        made = sdk.beta.environments.create(name="elsewhere", config={"type": "self_hosted"}).id
    worker = started(baton.url, made, tmp_path / "there")
    yield made
    worker.kill()
    worker.wait()


def test_the_sdks_worker_makes_the_calls_of_a_run_whose_server_dies(
    baton: BatonProcess, environment: str, tmp_path: Path
) -> None:
    client, gate = Client(baton.url), tmp_path / "gate"
    marks = tmp_path / "there" / "marks"
    slow = f"echo begun >> marks; until [ -e {gate} ]; do sleep 0.05; done; echo done >> marks"
    text = f"{call('write', file_path='a.txt', content='text')}[then]"
    text += f"{call('bash', command=slow)}{call('bash', command='cat a.txt marks')}[then][say Done.]"
    session = client.new_session(tools_approved=True)
    with client.run(session, text, agent="coder", query="?on_disconnect=continue") as stream:
        waits = stream.until("warning")
        assert waits["message"].startswith("A worker of the session's environment has to run the tool write:")
        written = stream.until("tool_call_response")
        assert "a.txt" in written["response"]
        assert not written["result"].get("isError")
        eventually(lambda: marks.exists() and marks.read_text(), "the call is under way")
        baton.kill()
    baton.start()
    gate.touch()
    eventually(lambda: _status(client, session) == "finished", "another process has gone on")
    assert marks.read_text() == "begun\ndone\n"
    results = [one["content"] for one in client.messages(session) if one["role"] == "tool"]
    assert results[2] == "textbegun\ndone"
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as sdk:
        told = [str(event.type) for event in sdk.beta.sessions.events.list(key_of(session))]
    assert told.count(RESULT) == 3
    assert client.messages(session)[-1]["content"] == "Done."
    client.close()


def _status(client: Client, session: str) -> str:
    return str(client.get(f"/api/runs?session={session}&all=true").json()[0]["status"])
