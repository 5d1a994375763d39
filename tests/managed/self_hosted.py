"""What tests do with sessions whose tools workers run."""

from __future__ import annotations

from typing import Any

from tests.managed.conftest import Sdk
from tests.managed.test_sessions import say
from tests.managed.toolset_calls import TOOLSET, call

RESULT = "user.tool_result"
BASH = call("bash", command="uname")
READ = call("read", file_path="a.txt")


def environment_of(sdk: Sdk) -> str:
    return sdk.beta.environments.create(name="elsewhere", config={"type": "self_hosted"}).id


def new_session(sdk: Sdk, said: str = "", *, environment: str = "", tools: Any = None, **toolset: Any) -> str:
    agent = sdk.beta.agents.create(
        name="Worker's", model="claude-sonnet-5-5", tools=tools or [{"type": TOOLSET, **toolset}]
    )
    first: Any = [say(said)] if said else []
    return sdk.beta.sessions.create(
        agent=agent.id, environment_id=environment or environment_of(sdk), initial_events=first
    ).id


def result(use: str, text: str = "Linux", **more: Any) -> Any:
    return {"type": RESULT, "tool_use_id": use, "content": [{"type": "text", "text": text}], **more}
