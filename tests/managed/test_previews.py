"""Previews of what a model is about to say, at a real server."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic

from tests.harness.process import BatonProcess
from tests.managed.test_streams import follow_until_idle


def test_a_preview_comes_behind_the_start_of_its_request_and_before_its_event(baton: BatonProcess) -> None:
    model: Any = {"id": "claude-sonnet-5-5", "effort": "high"}
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as client:
        agent = client.beta.agents.create(name="Thinker", model=model)
        environment = client.beta.environments.create(name="here")
        session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id).id
        text = "[think about the weather][say It may rain today.]"
        wanted = ["agent.message", "agent.thinking"]
        seen = follow_until_idle(client, session, text, event_deltas=wanted)
    kinds = [event.type for event in seen if event.type != "event_delta"]
    assert kinds[3:-3] == [
        "span.model_request_start",
        "event_start",
        "event_start",
        "agent.thinking",
        "agent.message",
        "span.model_request_end",
    ]
    started = [(event.event.type, event.event.id) for event in seen if event.type == "event_start"]
    whole = [(event.type, event.id) for event in seen if event.type in wanted]
    assert started == [whole[0], whole[1]]
