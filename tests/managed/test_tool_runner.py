"""The official SDK's own runner of custom tools, unchanged, at a real server."""

from __future__ import annotations

import anyio
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool

from tests.harness.process import BatonProcess, eventually
from tests.managed.custom_calls import CALL, WEATHER
from tests.managed.test_child_threads import to
from tests.managed.test_sessions import say


def test_the_sdks_tool_runner_makes_the_calls(baton: BatonProcess) -> None:
    """Those of the session's agent, and of one that answers in a thread."""
    asked: list[str] = []

    @beta_async_tool(name="get_weather", description="The weather of a town.")
    async def get_weather(town: str) -> str:
        asked.append(town)
        return "Rain."

    async def run(session: str) -> list[tuple[str, bool]]:
        async with AsyncAnthropic(base_url=baton.url, api_key="anything", max_retries=0) as client:
            runner = client.beta.sessions.events.tool_runner(session, tools=[get_weather], max_idle=0.01)
            return [(call.name, call.posted) async for call in runner]

    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as client:
        agent = client.beta.agents.create(name="Custom", model="claude-sonnet-5-5", tools=[WEATHER])
        agent = client.beta.agents.update(
            agent.id, multiagent={"type": "coordinator", "agents": [{"type": "self"}]}
        )
        environment = client.beta.environments.create(name="here")
        session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id).id

        def stops() -> list[str]:
            listed = client.beta.sessions.events.list(session, types=["session.status_idle"])
            return [event.stop_reason.type for event in listed if event.type == "session.status_idle"]

        client.beta.sessions.events.send(
            session, events=[say(f"{CALL}{to(CALL, 'Custom')}[then][say Take a coat.]")]
        )
        eventually(lambda: stops() == ["requires_action"], "the session waits for its client")
        assert anyio.run(run, session) == [("get_weather", True), ("get_weather", True)]
        eventually(lambda: stops()[-1] == "end_turn", "the turn has ended")
    assert asked == ["Ulm", "Ulm"]
