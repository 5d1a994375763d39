"""A client's actions at the Managed Agents API while the world goes wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.walk.managed_client import ManagedClient, answer_to
from tests.walk.stage import Stage, call

TOOLSET: Final = {"type": "agent_toolset_20260401"}
WITH_TOOLS: Final[Mapping[str, Any]] = {"tools": [TOOLSET]}
ASKING: Final[Mapping[str, Any]] = {
    "tools": [{**TOOLSET, "default_config": {"permission_policy": {"type": "always_ask"}}}]
}
_TOWN: Final = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
CUSTOM: Final[Mapping[str, Any]] = {
    "tools": [{"type": "custom", "name": "weather", "description": "Of a town.", "input_schema": _TOWN}]
}


def bash(stage: Stage, name: str, then: str = "") -> str:
    return call("bash", command=f"echo {stage.word}{name} >> {stage.shell_journal}{then}")


def message(stage: Stage) -> None:
    client = _client(stage)
    stream = client.stream()
    try:
        client.say(f"{bash(stage, 'a')}[then][say done]")
        client.until_idle(stream)
    finally:
        stream.close()


def confirmation(stage: Stage) -> None:
    _answered(stage, f"{bash(stage, 'a')}{bash(stage, 'b')}[then][say done]", "agent.tool_use")


def custom_result(stage: Stage) -> None:
    _answered(stage, f"{call('weather', town='Ulm')}[then][say done]", "agent.custom_tool_use")


def interrupt(stage: Stage) -> None:
    """While a command is at work."""
    client = _client(stage)
    stream = client.stream()
    try:
        client.say(f"{bash(stage, 'a', '; sleep 3')}[then][say never]")
        client.until_idle(stream, interrupts="agent.tool_use")
    finally:
        stream.close()


def _answered(stage: Stage, text: str, kind: str) -> None:
    client = _client(stage)
    stream = client.stream()
    try:
        client.say(text)
        why = client.until_idle(stream)
        client.send(*(answer_to(use, kind) for use in why.get("event_ids", ())))
        client.until_idle(stream)
    finally:
        stream.close()


def _client(stage: Stage) -> ManagedClient:
    if not isinstance(stage.person, ManagedClient):
        raise TypeError(json.dumps("this scenario is one of the Managed Agents API"))
    return stage.person
