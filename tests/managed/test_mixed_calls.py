"""Calls of one turn, of which some wait for a person's word and some for the client to make them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, RESULT, WEATHER, result
from tests.managed.test_sessions import say, types, until_idle
from tests.managed.toolset_calls import ASK, TOOLSET, call, confirm, events, waiting


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, database_url=database_url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.mark.parametrize("customs_first", [False, True])
def test_a_turn_goes_on_when_all_of_its_calls_are_decided(
    sdk: Sdk, model: OfflineServer, customs_first: bool
) -> None:
    tools: Any = [{"type": TOOLSET, "default_config": {"permission_policy": ASK}}, WEATHER]
    agent = sdk.beta.agents.create(name="Mixed", model="claude-sonnet-5-5", tools=tools)
    environment = sdk.beta.environments.create(name="here")
    calls = [call("bash", command="echo ran"), CALL]
    text = "".join(reversed(calls) if customs_first else calls) + "[then][say Done.]"
    session = sdk.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say(text)]
    ).id
    open_events = waiting(sdk, session)
    assert len(open_events) == 2
    (use,) = [event.id for event in events(sdk, session, "agent.custom_tool_use")]
    (asked,) = [event for event in open_events if event != use]
    sdk.checked(sdk.beta.sessions.events.send(session, events=[result(use)]))
    assert sdk.beta.sessions.retrieve(session).status == "idle"
    sdk.checked(sdk.beta.sessions.events.send(session, events=[confirm(asked)]))
    until_idle(sdk, session, times=2)
    assert (len(events(sdk, session, "agent.tool_result")), len(events(sdk, session, RESULT))) == (1, 1)
    assert types(sdk, session).count("session.status_running") == 2
    last = model.requests[-1]["messages"][-1]["content"]
    given = {block["content"] for block in last if block["type"] == "tool_result"}
    assert given == {"ran", "Rain."}
