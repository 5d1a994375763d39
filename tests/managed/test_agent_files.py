"""The server's agent files as agents of the second door: they can be read and run, and not changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.agent_catalogue import file_id
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import say, types, until_idle
from tests.managed.toolset_calls import call, confirm, events, results, waiting

TEAM = """
agents:
  boss:
    model: anthropic/claude-sonnet-5-5
    description: Says {what}
    instruction: You are a boss of ${{env.PATH}}.
    toolsets:
      - type: think
      - type: shell
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    place = tmp_path / "agents"
    place.mkdir()
    for number, name in enumerate(("one", "two")):
        (place / f"{name}.yaml").write_text(TEAM.format(what=name))
        os.utime(place / f"{name}.yaml", (number + 1, number + 1))
    (place / "broken.yaml").write_text("agents: [")
    return place


@pytest.fixture
def server(tmp_path: Path, files: Path, model: OfflineServer) -> Iterator[Server]:
    tokens = [("olga/operator", "olga-has-this-token"), ("ann/user", "ann-has-this-token")]
    settings = make_settings(tmp_path, model.url, agents=files, roots=(tmp_path / "w",), auth_tokens=tokens)
    built = build(settings)
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def ann(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "ann-has-this-token") as client:
        yield client


def test_agent_files_are_read_by_everybody_and_changed_by_nobody(
    ann: Sdk, server: Server, files: Path
) -> None:
    made = [ann.beta.agents.create(name=name, model="m").id for name in "ab"]
    whole = ann.checked(ann.beta.agents.list()).data
    assert [one.id for one in whole] == [*made[::-1], file_id("two"), file_id("one")]
    assert [one.id for one in ann.beta.agents.list(limit=1)] == [one.id for one in whole]
    since: Any = {"created_at_gte": "2020-01-01T00:00:00Z"}
    assert [one.id for one in ann.beta.agents.list(**since)] == made[::-1]

    found = ann.checked(ann.beta.agents.retrieve(file_id("one")))
    assert (found.name, found.description, found.system) == (
        "one",
        "Says one",
        "You are a boss of ${env.PATH}.",
    )
    assert (found.model.id, found.metadata, found.tools) == ("claude-sonnet-5-5", {"agent_file": "one"}, [])
    assert ann.beta.agents.retrieve(found.id, version=found.version) == found
    assert ann.checked(ann.beta.agents.versions.list(found.id)).data == [found]
    with pytest.raises(anthropic.NotFoundError, match="Agent version not found"):
        ann.beta.agents.retrieve(found.id, version=found.version + 1)
    with Sdk(server, "olga-has-this-token") as olga:
        assert olga.beta.agents.retrieve(found.id) == found
        with pytest.raises(anthropic.BadRequestError, match="is the agent file one of this server"):
            olga.beta.agents.update(found.id, name="x")
        with pytest.raises(anthropic.BadRequestError, match="is the agent file one of this server"):
            olga.beta.agents.archive(found.id)
    (files / "one.yaml").write_text(TEAM.format(what="other words"))
    changed = ann.beta.agents.retrieve(found.id)
    assert (changed.description, changed.version != found.version) == ("Says other words", True)
    (files / "one.yaml").unlink()
    with pytest.raises(anthropic.NotFoundError, match="Agent not found"):
        ann.beta.agents.retrieve(found.id)


def test_a_session_runs_an_agent_file_as_it_is_now(ann: Sdk, files: Path, model: OfflineServer) -> None:
    environment = ann.beta.environments.create(name="here")
    session = ann.checked(ann.beta.sessions.create(agent=file_id("one"), environment_id=environment.id))
    assert session.agent.name == "one"
    said = call("think", thought="x") + call("shell", cmd="echo of the shell") + "[then][say Done.]"
    ann.beta.sessions.events.send(session.id, events=[say(said)])
    (use,) = waiting(ann, session.id)
    ann.beta.sessions.events.send(session.id, events=[confirm(use)])
    until_idle(ann, session.id, times=2)
    assert "of the shell" in results(ann, session.id)[1][0]
    assert [one.evaluated_permission for one in events(ann, session.id, "agent.tool_use")] == ["ask", "ask"]
    assert "You are a boss" in str(model.requests[-1]["system"])
    assert [one.id for one in ann.beta.sessions.list(agent_id=file_id("one"))] == [session.id]

    (files / "one.yaml").write_text(TEAM.format(what="x").replace("a boss", "another boss"))
    ann.beta.sessions.events.send(session.id, events=[say("[say Again.]")])
    until_idle(ann, session.id, times=3)
    assert "another boss" in str(model.requests[-1]["system"])
    assert "session.error" not in types(ann, session.id)


def test_a_session_of_an_agent_file_takes_it_as_it_is(ann: Sdk) -> None:
    environment = ann.beta.environments.create(name="here")
    override: Any = {"type": "agent_with_overrides", "id": file_id("one"), "system": "x"}
    with pytest.raises(anthropic.BadRequestError, match="an agent file can't be overridden"):
        ann.beta.sessions.create(agent=override, environment_id=environment.id)
    roster: Any = {"type": "coordinator", "agents": [file_id("one")]}
    with pytest.raises(anthropic.BadRequestError, match="an agent file can't be a member of a roster"):
        ann.beta.agents.create(name="Lead", model="claude-sonnet-5-5", multiagent=roster)
    with pytest.raises(anthropic.NotFoundError, match=r"agent\.version: 1 not found"):
        ann.beta.sessions.create(
            agent={"type": "agent", "id": file_id("one"), "version": 1}, environment_id=environment.id
        )
    session = ann.beta.sessions.create(agent=file_id("one"), environment_id=environment.id)
    with pytest.raises(anthropic.BadRequestError, match="the tools of an agent file can't be changed"):
        ann.beta.sessions.update(session.id, agent={"tools": []})
