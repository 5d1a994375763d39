"""Threads followed with the official SDK, at a real server."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from anthropic import Anthropic

from anthropic_standin.standin_server import OfflineServer
from tests.harness.process import BatonProcess
from tests.managed.test_child_threads import ASK, to
from tests.managed.test_sessions import say

MODEL = "claude-sonnet-5-5"


def seen_until(stream: Any, kind: str) -> list[Any]:
    seen = []
    for event in stream:
        seen.append(event)
        if event.type == kind:
            return seen
    raise AssertionError(f"the stream has ended: {seen}")


def previewed(seen: list[Any]) -> str:
    return "".join(event.delta.content.text for event in seen if event.type == "event_delta")


def test_a_thread_is_followed_with_previews_of_its_own(baton: BatonProcess, model: OfflineServer) -> None:
    """A client gives the thread its answer by the thread's own events."""
    with Anthropic(base_url=baton.url, api_key="anything", max_retries=0) as client, ExitStack() as streams:
        reviewer = client.beta.agents.create(name="Reviewer", model=MODEL, tools=ASK)
        roster: Any = {"type": "coordinator", "agents": [reviewer.id]}
        lead = client.beta.agents.create(name="Lead", model=MODEL, multiagent=roster)
        environment = client.beta.environments.create(name="here")
        sessions = client.beta.sessions
        session = sessions.create(agent=lead.id, environment_id=environment.id).id
        wanted: Any = ["agent.message"]
        whole = streams.enter_context(sessions.events.stream(session, event_deltas=wanted))
        inner = "[call get_weather {}][then][hold 2][say A long answer of the thread.]"
        sessions.events.send(session, events=[say(f"{to(inner)}[then][hold 2][say A word of the agent.]")])
        seen = seen_until(whole, "session.status_idle")
        (thread,) = [one.id for one in sessions.threads.list(session) if one.parent_thread_id]
        own = streams.enter_context(
            sessions.threads.events.stream(thread, session_id=session, event_deltas=wanted)
        )
        (use,) = [
            one.id
            for one in sessions.threads.events.list(thread, session_id=session)
            if one.type == "agent.custom_tool_use"
        ]
        answer: Any = {"type": "user.custom_tool_result", "custom_tool_use_id": use}
        sessions.events.send(session, events=[answer])
        of_thread = seen_until(own, "event_delta")
        model.release()
        of_thread += seen_until(own, "session.thread_status_idle")
        assert previewed(of_thread)
        assert "A long answer of the thread.".startswith(previewed(of_thread))
        stored = [event for event in of_thread if not event.type.startswith("event_")]
        listed = list(sessions.threads.events.list(thread, session_id=session))
        assert [event.to_dict() for event in stored] == [event.to_dict() for event in listed][-len(stored) :]
        assert stored[0].type == "user.custom_tool_result"
        seen += seen_until(whole, "event_delta")
        model.release()
        seen += seen_until(whole, "session.status_idle")
        assert previewed(seen)
        assert "A word of the agent.".startswith(previewed(seen))
        stored = [event for event in seen if not event.type.startswith("event_")]
        assert [event.to_dict() for event in stored] == [
            one.to_dict() for one in sessions.events.list(session)
        ]
