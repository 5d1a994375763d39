"""A model as an agent file describes it, and how references to models are read."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from app.team.fields import AgentFilePart, Budget, Flag, Json, Number, Text, Texts

AUTO = "auto"
DEFAULT_MODEL = "anthropic/claude-sonnet-5-5"
"""The model of `auto`, and of an agent that names none."""


class RoutingRule(AgentFilePart):
    model: Text
    examples: Texts | None = None


class ModelDefinition(AgentFilePart):
    provider: Text = ""
    model: Text = ""
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    base_url: Text = ""
    parallel_tool_calls: Flag | None = None
    token_key: Text = ""
    provider_opts: Json = Field(default_factory=dict)
    track_usage: Flag | None = None
    thinking_budget: Budget | None = None
    routing: tuple[RoutingRule, ...] = ()

    @property
    def id(self) -> str:
        """`anthropic/claude-sonnet-5-5`: how events and messages name the model."""
        return f"{self.provider}/{self.model}"

    @property
    def alloy(self) -> tuple[str, ...]:
        """The members, if the entry only names a mix of other models."""
        return split_reference(self.model) if not self.provider and "," in self.model else ()

    @property
    def thinking_is_off(self) -> bool:
        """Explicitly; without a budget nothing is said."""
        return self.thinking_budget in (0, "none")

    @property
    def starts_thinking(self) -> bool:
        """Whether a session that begins with this model begins with thinking on."""
        return self.thinking_budget is not None and not self.thinking_is_off

    @property
    def interleaved_thinking(self) -> bool | None:
        """`provider_opts.interleaved_thinking`, which may be written as a word; None when it is not there."""
        value = self.provider_opts.get("interleaved_thinking")
        return None if value is None else str(value).strip().lower() in ("true", "1", "yes", "on")


class ModelSpec(ModelDefinition):
    """A model that an agent can use; `name` is its key in `models`, or the reference itself."""

    name: Text

    @classmethod
    def named(cls, name: str, definition: ModelDefinition) -> Self:
        return cls(name=name, **dict(definition))


def inline(reference: str) -> ModelDefinition | None:
    """The model that `provider/model` means; None if that is not how the reference is written."""
    provider, _, model = reference.partition("/")
    return ModelDefinition(provider=provider, model=model) if provider and model else None


def split_reference(reference: str) -> tuple[str, ...]:
    """The members of an alloy `a, b`, or the one reference that it is."""
    return tuple(part for part in (part.strip() for part in reference.split(",")) if part)
