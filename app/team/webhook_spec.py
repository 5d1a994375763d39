"""Where the messages of a `webhook` toolset go."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from app.team.fields import AgentFilePart, Text, TextMap, misused
from app.team.problems import quoted_list

WEBHOOKS = (
    "generic",
    "slack",
    "discord",
    "ifttt",
    "telegram",
    "mattermost",
    "rocketchat",
    "googlechat",
    "teams",
)
_ALIASES = {
    "": "generic",
    "google_chat": "googlechat",
    "gchat": "googlechat",
    "msteams": "teams",
    "microsoftteams": "teams",
    "microsoft_teams": "teams",
    "rocket.chat": "rocketchat",
    "rocket_chat": "rocketchat",
}


class WebhookSpec(AgentFilePart):
    provider: Text = ""
    url: Text = ""
    headers: TextMap = Field(default_factory=dict)
    chat_id: Text = ""

    @property
    def kind(self) -> str:
        """The provider by its one name; empty for one that nobody knows."""
        name = self.provider.strip().lower()
        name = _ALIASES.get(name, name)
        return name if name in WEBHOOKS else ""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if not self.url:
            raise misused("webhook toolset requires a url in webhook_config", "url")
        if not self.kind:
            raise misused(f"provider must be {quoted_list(WEBHOOKS)}", "provider")
        if self.kind == "telegram" and not self.chat_id:
            raise misused("provider telegram requires a chat_id", "chat_id")
        return self
