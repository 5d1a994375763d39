"""What an agent file says of tools that read the web."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from app.team.domains import domains
from app.team.fields import AgentFilePart, Count, Json, Texts, misused

Hosts = Annotated[Texts, AfterValidator(domains)]


class WebToolSpec(AgentFilePart):
    allowed_domains: Hosts = ()
    """Hosts that pages may come from, subdomains included."""
    blocked_domains: Hosts = ()
    """Hosts that pages may not come from."""

    @model_validator(mode="after")
    def _one_of_them(self) -> WebToolSpec:
        if self.allowed_domains and self.blocked_domains:
            raise misused("allowed_domains and blocked_domains are mutually exclusive", "blocked_domains")
        return self


class WebFetchSpec(WebToolSpec):
    max_content_tokens: Count = 0
    """How much of a page the model is shown; 0 for as much as of any result."""


class WebSearchSpec(WebToolSpec):
    user_location: Json = Field(default_factory=dict)
    """As the Messages API takes it."""
