"""What tests do with an agent that has a custom tool."""

from __future__ import annotations

from typing import Any

from tests.managed.conftest import Sdk

WEATHER: Any = {
    "type": "custom",
    "name": "get_weather",
    "description": "The weather of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
CALL = '[call get_weather {"town": "Ulm"}]'
TWO_CALLS = f"{CALL}{CALL}[then][say Take a coat.]"
RESULT = "user.custom_tool_result"


def new_session(sdk: Sdk) -> str:
    agent = sdk.beta.agents.create(name="Custom", model="claude-sonnet-5-5", tools=[WEATHER])
    environment = sdk.beta.environments.create(name="here")
    return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id).id


def result(use: str, text: str = "Rain.", **more: Any) -> Any:
    content = [{"type": "text", "text": text}]
    return {"type": RESULT, "custom_tool_use_id": use, "content": content, **more}


def results_of(uses: list[str]) -> list[Any]:
    """Each call's result names the call."""
    return [result(use, f"Result of {use}.") for use in uses]


def listed(sdk: Sdk, session: str, *kinds: str) -> list[Any]:
    found = list(sdk.beta.sessions.events.list(session))
    return [event for event in found if not kinds or event.type in kinds]


def idle_events(sdk: Sdk, session: str) -> list[Any]:
    return listed(sdk, session, "session.status_idle")


def last_stop(sdk: Sdk, session: str) -> list[str]:
    """The events that the session is idle for."""
    return list(getattr(idle_events(sdk, session)[-1].stop_reason, "event_ids", ()))
