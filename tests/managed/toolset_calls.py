"""Calls of agent_toolset_20260401, as a client of the official SDK makes and sees them."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types.beta import BetaManagedAgentsSession

from tests.managed.conftest import Sdk
from tests.managed.test_sessions import say, until_idle

TOOLSET = "agent_toolset_20260401"
ASK = {"type": "always_ask"}


def call(name: str, **given: Any) -> str:
    return f"[call {name} {json.dumps(given)}]"


def events(sdk: Sdk, session: str, kind: str) -> list[Any]:
    found = [event for event in sdk.beta.sessions.events.list(session) if event.type == kind]
    sdk.checked(sdk.beta.sessions.events.list(session))
    return found


def results(sdk: Sdk, session: str) -> list[tuple[str, bool]]:
    """The texts of the tools' results, and whether each is an error; each belongs to a use in the same order."""
    uses, found = events(sdk, session, "agent.tool_use"), events(sdk, session, "agent.tool_result")
    assert [one.tool_use_id for one in found] == [one.id for one in uses]
    return [
        ("".join(part.text for part in one.content if part.type == "text"), one.is_error) for one in found
    ]


def waiting(sdk: Sdk, session: str, *, times: int = 1) -> list[str]:
    """The events that the session waits for, once it does."""
    until_idle(sdk, session, times=times)
    reason = events(sdk, session, "session.status_idle")[-1].stop_reason
    assert reason.type == "requires_action"
    return list(reason.event_ids)


def confirm(use: str, result: str = "allow", **more: Any) -> Any:
    return {"type": "user.tool_confirmation", "tool_use_id": use, "result": result, **more}


def started(sdk: Sdk, said: str, **toolset: Any) -> BetaManagedAgentsSession:
    """A session of an agent with the toolset, to which this was said first."""
    tools: Any = [{"type": TOOLSET, **toolset}]
    agent = sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools)
    environment = sdk.beta.environments.create(name="here")
    return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id, initial_events=[say(said)])
