"""A model as an agent file describes it, and how references to models are read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.team.fields import (
    AgentFilePart,
    Budget,
    Count,
    Flag,
    Json,
    Number,
    Price,
    Share,
    Text,
    Texts,
    misused,
)

AUTO = "auto"
DEFAULT_MODEL = "anthropic/claude-sonnet-5-5"
"""The model of `auto`, and of an agent that names none."""


class RoutingRule(AgentFilePart):
    model: Text
    examples: Texts | None = None


class Cost(AgentFilePart):
    """USD per million tokens."""

    input: Price = 0.0
    output: Price = 0.0
    cache_read: Price = 0.0
    cache_write: Price = 0.0


def _total(value: Any) -> Any:
    """A number of tokens, or `{type: tokens, total: N}`."""
    if not isinstance(value, dict):
        return value
    if set(value) - {"type", "total"} or value.get("type") not in (None, "", "tokens"):
        raise PydanticCustomError("task_budget", "must be a number of tokens, or {type: tokens, total: N}")
    return value.get("total") or 0


TaskBudget = Annotated[Count, BeforeValidator(_total, json_schema_input_type=int | dict[str, str | int])]


class ModelDefinition(AgentFilePart):
    not_here: ClassVar = {
        "auth": "this server reaches the API with its own key",
        "capabilities": "this server knows what Anthropic's models take",
        "output_capabilities": "Anthropic's models make no pictures",
    }
    provider: Text = ""
    model: Text = ""
    description: Text = ""
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
    task_budget: TaskBudget = 0
    """Tokens that the model plans a whole task with; 0: none."""
    bypass_models_gateway: Flag = False
    """There is no gateway here: each model is asked directly, with or without this."""
    first_available: Texts = ()
    """References, of which the first that this server can ask stands for this model."""
    title_model: Text = ""
    compaction_model: Text = ""
    compaction_threshold: Share | None = None
    cost: Cost | None = None
    """Counts in place of the price that the server knows."""
    routing: tuple[RoutingRule, ...] = ()

    @model_validator(mode="after")
    def _stands_for_others_alone(self) -> Self:
        if self.first_available:
            for name in type(self).model_fields:
                if name not in ("first_available", "description", "name") and getattr(self, name):
                    raise misused(f"first_available cannot be combined with {name}", name)
        return self

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
