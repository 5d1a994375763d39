"""Sessions that have memory stores, as a client of the official SDK makes and sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anthropic.types.beta import BetaManagedAgentsSession

from app.factory import Server
from tests.managed.conftest import Sdk
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import TOOLSET


def session_with(sdk: Sdk, *stores: Any, said: str = "", **more: Any) -> BetaManagedAgentsSession:
    resources: Any = [
        {"type": "memory_store", "memory_store_id": one} if isinstance(one, str) else one for one in stores
    ]
    tools: Any = [{"type": TOOLSET}]
    agent = sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools, system="Be brief.")
    environment = sdk.beta.environments.create(name="here")
    if said:
        more["initial_events"] = [say(said)]
    made = sdk.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, resources=resources, **more
    )
    return sdk.checked(made)


def turn(sdk: Sdk, session: str, said: str, *, times: int) -> None:
    sdk.beta.sessions.events.send(session, events=[say(said)])
    until_idle(sdk, session, times=times)


def contents(sdk: Sdk, store: str) -> dict[str, str | None]:
    return {
        one.path: one.content
        for one in sdk.beta.memory_stores.memories.list(store, view="full")
        if one.type == "memory"
    }


def folder(server: Server, session: BetaManagedAgentsSession) -> Path:
    return server.settings.roots[0] / "environments" / session.id / "memory" / "user-notes"


def read_only(store: str) -> dict[str, Any]:
    return {"type": "memory_store", "memory_store_id": store, "access": "read_only"}
