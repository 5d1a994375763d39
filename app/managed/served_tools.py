"""Which tools of an agent this server may run as the agent says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.errors import InvalidRequest
from app.managed.agent_bodies import TOOLSET
from app.managed.environments import UNRESTRICTED
from app.managed.policies import SEARCH, Policies
from app.store.definitions import Defined

CHANGING: Final = ("bash", "write", "edit")
"""Tools that change something on the machine."""


@dataclass(frozen=True, slots=True)
class ServedTools:
    """`unasked` says whether tools that change something may run without a person's word. On a laptop they may, and
    in a cage; where there are tokens and no cage, if the operator has said so. `caged`: commands run in one.
    `searches`: the server's key may search the web."""

    unasked: bool
    caged: bool
    searches: bool = True

    def check(self, agent: Mapping[str, Any], place: str, *, self_hosted: bool = False) -> None:
        """InvalidRequest, which says what to set. `place` is where the agent's tools stand in the request.
        `self_hosted`: the tools that change something run elsewhere."""
        policies = Policies(agent["tools"])
        for index, tool in enumerate(agent["tools"]):
            if tool["type"] == TOOLSET:
                where = f"{place}.{index}.{TOOLSET}"
                self._check_search(tool, policies, where)
                if not self_hosted:
                    self._check_unasked(policies, where)

    def check_network(self, environment: Defined) -> None:
        """InvalidRequest for an environment whose network was limited while there was a cage."""
        config = environment.definition["config"]
        if config["type"] == "cloud" and config["networking"]["type"] != UNRESTRICTED and not self.caged:
            raise InvalidRequest(
                f"environment_id: the network of {environment.id} can't be limited without a cage for commands; "
                "let the operator set BATON_SANDBOX=bubblewrap"
            )

    def check_servers(self, agent: Mapping[str, Any], networking: str, place: str) -> None:
        """InvalidRequest for MCP servers where the session's environment has no network."""
        for index, tool in enumerate(agent["tools"]):
            if tool["type"] == "mcp_toolset" and networking != UNRESTRICTED:
                raise InvalidRequest(
                    f"{place}.{index}.mcp_toolset: the session's environment keeps all hosts out, and its networking "
                    "has no exception for MCP servers here"
                )

    def _check_unasked(self, policies: Policies, where: str) -> None:
        free = [name for name in CHANGING if policies.evaluate(name)[0] == "allow"]
        if free and not self.unasked:
            raise InvalidRequest(
                f"{where}: {', '.join(free)} may not run unasked on this server: give "
                f"{'them' if len(free) > 1 else 'it'} the permission_policy always_ask, or let the operator set "
                "BATON_UNASKED_TOOLS=on or BATON_SANDBOX=bubblewrap"
            )

    def _check_search(self, tool: Mapping[str, Any], policies: Policies, where: str) -> None:
        for place, config in enumerate(tool["configs"]):
            if "url_sources" in config:
                raise InvalidRequest(f"{where}.configs.{place}.url_sources: it is not supported here")
            if config["name"] == SEARCH and config["enabled"] and not self.searches:
                raise InvalidRequest(
                    f"{where}.configs.{place}: web_search is switched off on this server (BATON_WEB_SEARCH)"
                )
            if config["name"] == SEARCH and policies.evaluate(SEARCH)[0] == "ask":
                raise InvalidRequest(
                    f"{where}.configs.{place}.permission_policy: the model's API runs web_search and asks nobody: "
                    "give it always_allow, or do not enable it"
                )
