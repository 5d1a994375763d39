"""A whole agent file: the top level of the schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from app.conversation.safety import SafetyPolicy
from app.team.agent import AgentDefinition, Commands, Skills
from app.team.fields import (
    AgentFilePart,
    Anything,
    Budget,
    Count,
    Flag,
    Json,
    Number,
    Price,
    Seconds,
    Text,
    Texts,
    Whole,
    misused,
)
from app.team.model_definition import ModelDefinition, TaskBudget
from app.team.permissions import Permissions
from app.team.toolset_spec import ToolsetSpec


class Provider(AgentFilePart):
    """The settings that models of this provider have in common. If its own `provider` is `anthropic`, its models can be
    used here, else they are only described."""

    not_here: ClassVar = {
        "auth": "this server reaches the API with its own key",
        "unload_api": "there is nothing to be unloaded where Anthropic's models are",
    }
    provider: Text = ""
    temperature: Number | None = None
    max_tokens: Count | None = None
    top_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    parallel_tool_calls: Flag | None = None
    provider_opts: Json = Field(default_factory=dict)
    track_usage: Flag | None = None
    thinking_budget: Budget | None = None
    task_budget: TaskBudget = 0
    compaction_model: Text = ""
    api_type: Literal["", "openai_chatcompletions", "openai_responses"] = ""
    base_url: Text = ""
    token_key: Text = ""

    @model_validator(mode="after")
    def _has_an_address(self) -> Provider:
        if not self.base_url and self.provider in ("", "openai"):
            raise misused("base_url is required", "base_url")
        return self


class Metadata(AgentFilePart):
    author: Text = ""
    license: Text = ""
    description: Text = ""
    readme: Text = ""
    version: Text = ""
    tags: Texts = ()


class RunBudget(AgentFilePart):
    """The most that a run may use, tasks that it gives away included; 0: no limit."""

    max_cost: Price = 0.0
    """USD."""
    max_tokens: Count = 0
    """Tokens sent and received."""
    max_time: Seconds = 0.0
    """Seconds of work, without waits for a person."""

    @model_validator(mode="after")
    def _within_bounds(self) -> RunBudget:
        if self.max_time < 0:
            raise misused("max_time must not be negative", "max_time")
        return self


class RuntimeDefaults(AgentFilePart):
    not_here: ClassVar = {
        "sandbox": "the operator of the server says where commands run (BATON_SANDBOX)",
        "network_allowlist": "the operator of the server says what commands reach (BATON_SANDBOX)",
    }
    safety: SafetyPolicy = ""
    """The policy of new sessions that name none."""


class RagTool(AgentFilePart):
    name: Text = ""
    description: Text = ""
    instruction: Text = ""


class Chunking(AgentFilePart):
    size: Whole = 0
    overlap: Whole = 0
    respect_word_boundaries: Flag = False
    code_aware: Flag = False


class RagStrategy(AgentFilePart, extra="allow"):
    """Each kind of strategy has parameters of its own, which are carried as they are."""

    type: Text = ""
    docs: Texts = ()
    database: Text = ""
    chunking: Chunking = Chunking()
    limit: Whole = 0
    __pydantic_extra__: dict[str, Anything]


class Fusion(AgentFilePart):
    strategy: Text = ""
    k: Whole = 0
    weights: dict[Text, Number] = Field(default_factory=dict)


class Reranking(AgentFilePart):
    model: Text = ""
    top_k: Whole = 0
    threshold: Number = 0.5
    criteria: Text = ""


class RagResults(AgentFilePart):
    limit: Whole = 15
    fusion: Fusion | None = None
    reranking: Reranking | None = None
    deduplicate: Flag = True
    include_score: Flag = False
    return_full_content: Flag = False


class RagSource(AgentFilePart):
    tool: RagTool = RagTool()
    docs: Texts = ()
    respect_vcs: Flag | None = None
    strategies: tuple[RagStrategy, ...] = ()
    results: RagResults = RagResults()


def _as_mcp(value: Any) -> Any:
    """An entry of `mcps` is a toolset whose type goes without saying."""
    return {**value, "type": "mcp"} if isinstance(value, dict) else value


McpDefinition = Annotated[ToolsetSpec, BeforeValidator(_as_mcp)]


class TeamFile(AgentFilePart):
    """An agent file as the newest version of the schema accepts it. The order of agents is the file's."""

    not_here: ClassVar = {
        "flavors": "nothing here switches one on; write the file as it shall be, or a second file",
    }

    version: Text = ""
    agents: Annotated[dict[Text, AgentDefinition], Field(min_length=1)]
    providers: dict[Text, Provider] = Field(default_factory=dict)
    models: dict[Text, ModelDefinition] = Field(default_factory=dict)
    mcps: dict[Text, McpDefinition] = Field(default_factory=dict)
    rag: dict[Text, RagSource] = Field(default_factory=dict)
    commands: dict[Text, Commands] = Field(default_factory=dict)
    """Groups of commands, for `use_commands`."""
    skills: dict[Text, Skills] = Field(default_factory=dict)
    """Groups of skills, for `use_skills`."""
    toolsets: dict[Text, ToolsetSpec] = Field(default_factory=dict)
    """Toolsets for `use_toolsets`."""
    runtime: RuntimeDefaults = RuntimeDefaults()
    budget: RunBudget | None = None
    """For each run, whichever agent is at work."""
    budgets: dict[Text, RunBudget] = Field(default_factory=dict)
    """For the runs of the agents that name them."""
    metadata: Metadata = Metadata()
    permissions: Permissions | None = None
