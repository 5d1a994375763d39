"""A whole agent file: the top level of the schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from app.team.agent import AgentDefinition
from app.team.fields import AgentFilePart, Anything, Flag, Number, Text, Texts, Whole, misused
from app.team.model_definition import ModelDefinition
from app.team.permissions import Permissions
from app.team.toolset_spec import ToolsetSpec


class Provider(AgentFilePart):
    """A provider of other models; it can be described, but its models can't be used here."""

    api_type: Literal["", "openai_chatcompletions", "openai_responses"] = ""
    base_url: Text = ""
    token_key: Text = ""

    @model_validator(mode="after")
    def _has_an_address(self) -> Provider:
        if not self.base_url:
            raise misused("base_url is required", "base_url")
        return self


class Metadata(AgentFilePart):
    author: Text = ""
    license: Text = ""
    description: Text = ""
    readme: Text = ""
    version: Text = ""


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

    version: Text = ""
    agents: Annotated[dict[Text, AgentDefinition], Field(min_length=1)]
    providers: dict[Text, Provider] = Field(default_factory=dict)
    models: dict[Text, ModelDefinition] = Field(default_factory=dict)
    mcps: dict[Text, McpDefinition] = Field(default_factory=dict)
    rag: dict[Text, RagSource] = Field(default_factory=dict)
    metadata: Metadata = Metadata()
    permissions: Permissions | None = None
