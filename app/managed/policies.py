"""Permission policies of an agent's tools: which calls run at once, and which wait for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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


class Policies:
    """Of the tools of an agent, as it is stored."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self._configs: dict[str, Mapping[str, Any]] = {}
        self.custom: Final = frozenset(tool["name"] for tool in tools if tool["type"] == "custom")
        """The tools that the client runs. They have no policy: all their calls are told to it."""
        for tool in tools:
            if tool["type"] == TOOLSET:
                self._configs |= dict.fromkeys(TOOLS, tool["default_config"])
                self._configs |= {config["name"]: config for config in tool["configs"]}

    def enabled(self) -> list[str]:
        return [name for name, config in self._configs.items() if config["enabled"]]

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
        config = self._configs.get(name)
        if config is None or not config["enabled"]:
            return _NOT_ENABLED
        return _EVALUATIONS[config["permission_policy"]["type"]]
