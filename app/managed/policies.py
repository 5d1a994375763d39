"""Permission policies of an agent's tools: which calls run at once, and which wait for a person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from app.agent.tool_normalizing import offered_name
from app.conversation.managed_events import WORKER_TOOLS, is_self_hosted
from app.managed.agent_bodies import TOOLSET

Json = dict[str, Any]
Evaluation = tuple[str, Json | None]

TOOLS: Final = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")

SEARCH: Final = "web_search"
"""The model's API runs it, and asks nobody."""

_SETTINGS: Final = ("allowed_domains", "blocked_domains", "max_content_tokens", "user_location")
_EVALUATIONS: Final[Mapping[str, Evaluation]] = {
    "always_allow": ("allow", {"type": "always_allow"}),
    "always_ask": ("ask", {"type": "always_ask"}),
    # nobody here judges a call, so a person does
    "auto": (
        "ask",
        {"type": "auto", "evaluated_permission": {"type": "ask", "reason_code": "indeterminate"}},
    ),
}
_NOT_ENABLED: Final[Evaluation] = ("deny", None)
_PLAIN: Final = re.compile(r"[a-z0-9-]+(_[a-z0-9-]+)*")
_MAX_SLUG: Final = 40


def prefix_of(server: str) -> str:
    """The beginning of the names of an MCP server's tools, as the model is told them. No two servers have one, and
    none begins with another one."""
    if _PLAIN.fullmatch(server) and len(server) <= _MAX_SLUG:
        return f"mcp__{server}__"
    slug = "_".join(re.findall("[A-Za-z0-9-]+", server))[:_MAX_SLUG].strip("_")
    mark = hashlib.sha256(server.encode()).hexdigest()[:8]
    return f"mcp__{slug}_{mark}__" if slug else f"mcp__{mark}__"


def asks(config: Mapping[str, Any]) -> bool:
    """Does a call wait for a person by this config of a tool?"""
    return _EVALUATIONS[config["permission_policy"]["type"]][0] == "ask"


_OF_A_FILE: Final[Evaluation] = ("ask", None)
"""The permissions of an agent file are judged when a call is made: it may wait for a person."""


class Policies:
    """Of the tools of an agent, as it is stored."""

    def __init__(
        self, tools: Sequence[Mapping[str, Any]], *, of_file: bool = False, self_hosted: bool = False
    ) -> None:
        """`of_file`: the agent is that of an agent file, whose tools are not listed; `self_hosted`: workers run the
        tools for files and commands."""
        self._unknown = _OF_A_FILE if of_file else _NOT_ENABLED
        self._configs: dict[str, Mapping[str, Any]] = {}
        self._self_hosted = self_hosted
        self.judged_late: Final = of_file and self_hosted
        """Are calls of workers judged when they are made, and by an agent file's permissions?"""
        self.custom: Final = frozenset(tool["name"] for tool in tools if tool["type"] == "custom")
        """The tools that the client runs. They have no policy: all their calls are told to it."""
        for tool in tools:
            if tool["type"] == TOOLSET:
                self._configs |= dict.fromkeys(TOOLS, tool["default_config"])
                self._configs |= {config["name"]: config for config in tool["configs"]}
        self._servers = {
            prefix_of(tool["mcp_server_name"]): tool for tool in tools if tool["type"] == "mcp_toolset"
        }

    @property
    def has_servers(self) -> bool:
        return bool(self._servers)

    def server_tool(self, name: str) -> tuple[str, str] | None:
        """The name of the MCP server that has this tool, and the tool's own name there; None for a tool of another
        kind. `name` is the one that the model says: letters that no model is told are missing from the own name, unless
        the agent has a config for the tool."""
        if name in self.custom:
            return None
        for prefix, tool in self._servers.items():
            if name.startswith(prefix):
                configured = (config["name"] for config in tool["configs"])
                own = (one for one in configured if offered_name(f"{prefix}{one}") == name)
                return tool["mcp_server_name"], next(own, name.removeprefix(prefix))
        return None

    @classmethod
    def of_session(cls, settings: Mapping[str, Any]) -> Self:
        return cls(
            settings["agent"]["tools"],
            of_file=settings.get("agent_file") is not None,
            self_hosted=is_self_hosted(settings),
        )

    def enabled(self) -> list[str]:
        return [name for name, config in self._configs.items() if config["enabled"]]

    def of_workers(self) -> frozenset[str]:
        """The enabled tools that a worker runs."""
        return frozenset(name for name in self.enabled() if self._self_hosted and name in WORKER_TOOLS)

    def result_type(self, name: str) -> str:
        """The type of the event by which a client makes a call of the tool; empty if the server makes it."""
        if name in self.custom:
            return "user.custom_tool_result"
        return "user.tool_result" if name in self.of_workers() else ""

    def asked(self) -> list[str]:
        """The enabled tools whose calls wait for a person."""
        return [name for name in self.enabled() if self.evaluate(name)[0] == "ask"]

    def web_settings(self) -> Json:
        """Of the tools for the web, by the tool, in the words of an agent file."""
        return {
            name: settings
            for name in ("web_fetch", SEARCH)
            if (
                settings := {
                    key: self._configs[name][key] for key in _SETTINGS if key in self._configs.get(name, {})
                }
            )
        }

    def evaluate(self, name: str) -> Evaluation:
        """The permission of a call, and how it was come to."""
        config = self._configs.get(name) or self._remote_config(name)
        if config is None or not config["enabled"]:
            return self._unknown
        return _EVALUATIONS[config["permission_policy"]["type"]]

    def _remote_config(self, name: str) -> Mapping[str, Any] | None:
        for prefix, tool in self._servers.items():
            if name.startswith(prefix):
                named = {offered_name(f"{prefix}{config['name']}"): config for config in tool["configs"]}
                found: Mapping[str, Any] = named.get(name, tool["default_config"])
                return found
        return None
