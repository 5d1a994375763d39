"""Each type of event that this server tells, once, held against the SDK's types. The others are on the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from anthropic.types.beta.sessions import BetaManagedAgentsSessionEventType

from app.factory import Server
from app.managed.id_validation import number_of
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.custom_calls import CALL, WEATHER, last_stop, result
from tests.managed.test_endings import told
from tests.managed.test_sessions import say, until_idle
from tests.managed.test_system_messages import system

PAGE = Path(__file__).parents[2] / "docs" / "managed-agents.md"
ELSEWHERE = {
    "user.tool_confirmation",
    "user.tool_result",
    "session.deleted",
    "agent.mcp_tool_use",
    "agent.mcp_tool_result",
    "agent.thread_message_received",
    "agent.thread_message_sent",
    "session.thread_created",
    "session.thread_status_terminated",
}
"""Seen in other tests."""


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The server's threads end with it."""


def test_each_type_is_told_as_the_sdk_knows_it_or_named_as_untold(sdk: Sdk, laptop: Server) -> None:
    session = _told_everything(sdk, laptop)
    seen = {event["type"] for event in told(sdk, session)}
    kind: Any = BetaManagedAgentsSessionEventType
    known = set(get_args(getattr(kind, "__value__", kind)))
    page = PAGE.read_text()
    untold = page[page.index("These types of events are never told") :].split("\n\n")[0]
    named = set(re.findall(r"`([a-z_.]+)`", untold))
    assert seen <= known
    assert named == known - seen - ELSEWHERE


def _told_everything(sdk: Sdk, laptop: Server) -> str:
    model: Any = {"id": "claude-sonnet-5-5", "effort": "high"}
    agent = sdk.beta.agents.create(name="All", model=model, tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")
    session = sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id).id
    send = sdk.beta.sessions.events.send
    send(session, events=[say(f"[think about it]{CALL}[call unknown {{}}][then][say Done.]")])
    until_idle(sdk, session)
    (use,) = last_stop(sdk, session)
    send(session, events=[result(use)])
    until_idle(sdk, session, times=2)
    send(session, events=[{"type": "user.interrupt"}])
    sdk.beta.sessions.update(session, title="New")
    send(session, events=[say("[fail 529 1][fail 400]"), system("A rule.")])
    until_idle(sdk, session, times=3)
    rubric: Any = {"type": "text", "content": "Short."}
    send(
        session,
        events=[{"type": "user.define_outcome", "description": "[calm][say satisfied]", "rubric": rubric}],
    )
    until_idle(sdk, session, times=4)
    _compact(laptop, session)
    eventually(
        lambda: "agent.thread_context_compacted" in str(told(sdk, session)), "the conversation is summed up"
    )
    until_idle(sdk, session, times=5)
    return session


def _compact(laptop: Server, session: str) -> None:
    with laptop.app.test_client() as client:
        client.post(f"/api/sessions/{number_of(session)}/compact").get_data()
