"""Which calls of a run are told as calls of an MCP server's tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.conversation.managed_events import remote_result_body, result_body
from app.managed.policies import Policies
from app.store.told_events import Told

Json = dict[str, Any]

_OWN: Final = "agent.tool_use"
_REMOTE: Final = "agent.mcp_tool_use"


class CallEventBodies:
    """Knows one turn at a time. Owned by the run's thread."""

    def __init__(
        self, policies: Policies, asked: Mapping[str, Told], find: Callable[[str], Told | None]
    ) -> None:
        """`asked` are the calls that the session is idle for; `find` finds an event by its id."""
        self._policies = policies
        self._find = find
        self._kinds = {call: event.type for call, event in asked.items()}

    def begin_turn(self) -> None:
        self._kinds.clear()

    def use(self, call_id: str, name: str, given: Json) -> tuple[str, Json]:
        """The type of the event that tells of a call, and what it says; `name` is the one that the model used."""
        remote = self._policies.server_tool(name)
        self._kinds[call_id] = _OWN if remote is None else _REMOTE
        if remote is None:
            return _OWN, {"name": name, "input": given}
        server, own_name = remote
        return _REMOTE, {"name": own_name, "mcp_server_name": server, "input": given}

    def result(self, call_id: str, event: str, block: Mapping[str, Any]) -> tuple[str, Json]:
        """The same of its result; `event` is that of the call, which another process may have told."""
        kind = self._kinds.get(call_id)
        if kind is None and self._policies.has_servers and (told := self._find(event)) is not None:
            kind = told.type
        if kind == _REMOTE:
            return "agent.mcp_tool_result", remote_result_body(event, block)
        return "agent.tool_result", result_body(event, block)
