"""An agent: as its file describes it, and as a session uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from app.conversation.safety import SafetyPolicy
from app.team.client_tool import ClientTool
from app.team.colleague import Colleague
from app.team.expansion import Expander
from app.team.fields import (
    AgentFilePart,
    Count,
    Flag,
    Json,
    Limit,
    Seconds,
    Share,
    Text,
    Texts,
    misused,
)
from app.team.hook_definitions import Hooks
from app.team.model_definition import ModelSpec, inline
from app.team.output_schema import NotPossible, for_the_api
from app.team.permissions import Permissions
from app.team.problems import INLINE, NAMED
from app.team.remote_server import RemoteServer
from app.team.skill_definitions import InlineSkill
from app.team.toolset_spec import ToolsetSpec

LOCAL_SKILLS = "local"


class Fallback(AgentFilePart):
    models: Texts = ()
    retries: Annotated[int, Field(strict=True)] = 0
    cooldown: Seconds = 0.0
    """Seconds; 0 is the default."""

    @model_validator(mode="after")
    def _within_bounds(self) -> Fallback:
        if self.retries < -1:
            raise misused("fallback.retries must be >= -1 (use -1 for no retries, 0 for default)", "retries")
        if self.cooldown < 0:
            raise misused("fallback.cooldown must be non-negative", "cooldown")
        return self


class SlashCommand(AgentFilePart):
    """A slash command. One with only a description uses it as its instruction too."""

    description: Text = ""
    instruction: Text = ""
    agent: Text = ""
    """The agent that clients shall run it with; empty: the one that it belongs to."""
    url: Text = ""
    """The address that clients shall open, in place of a message; `{{session_id}}` in it is for them to fill in."""

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"instruction": data}
        if isinstance(data, dict) and not data.get("instruction"):
            if data.get("agent") or data.get("url"):
                return data
            if not data.get("description"):
                raise PydanticCustomError(
                    "command", "command must have at least 'instruction', 'description', 'agent' or 'url'"
                )
            return {**data, "instruction": data["description"]}
        return data


class Cache(AgentFilePart):
    """Whether an answer is given again when the same owner asks the same question."""

    not_here: ClassVar = {"path": "answers are kept in the memory of a process"}
    enabled: Flag = False
    case_sensitive: Flag = False
    trim_spaces: Flag = False


class StructuredOutput(AgentFilePart):
    name: Text
    description: Text = ""
    json_schema: Json = Field(alias="schema")
    strict: Flag = False
    mode: Literal["", "native", "tool"] = ""

    @model_validator(mode="after")
    def _is_native(self) -> Self:
        if self.mode == "tool":
            raise misused("is not supported here: the API itself holds the model to the schema", "mode")
        return self

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> Self:
        try:
            for_the_api(self.json_schema)
        except NotPossible as problem:
            raise misused(str(problem), "schema", *problem.path) from problem
        return self

    def for_the_api(self) -> dict[str, Any]:
        """The schema as the API can hold a model to it, but for limits, which are told to the model in words."""
        return for_the_api(self.json_schema)


def _one_mapping(value: Any) -> Any:
    """Commands may be a list of one-key mappings."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return {key: command for item in value for key, command in item.items()}
    return value


def _sources(value: Any) -> Any:
    if isinstance(value, bool):
        return (LOCAL_SKILLS,) if value else ()
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("skills", "skills must be a boolean or a list of sources")
    return value


def _one_text(value: Any) -> Any:
    """Parts of an instruction are paragraphs of it."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)
    return value


Skills = Annotated[
    tuple[
        Annotated[
            Annotated[InlineSkill, Tag(INLINE)] | Annotated[Text, Tag(NAMED)],
            Discriminator(lambda value: INLINE if isinstance(value, Mapping | InlineSkill) else NAMED),
        ],
        ...,
    ],
    BeforeValidator(_sources, json_schema_input_type=bool | list[str | InlineSkill]),
]
Commands = Annotated[
    dict[Text, SlashCommand],
    BeforeValidator(
        _one_mapping,
        json_schema_input_type=dict[str, str | SlashCommand] | list[dict[str, str | SlashCommand]],
    ),
]


class AgentDefinition(AgentFilePart):
    not_here: ClassVar = {
        "harness": "this server runs no other coding agents",
        "instruction_file": "a server's agent file stands by itself; write the text into instruction",
        "force_handoff": "an agent hands over when its model calls handoff",
        "add_prompt_files_depth": "files below the working directory are not looked for",
    }
    model: Text = ""
    """A key of `models`, `provider/model`, `auto`, or a comma list of these; empty means `auto`."""
    fallback: Fallback | None = None
    description: Text = ""
    welcome_message: Text = ""
    toolsets: tuple[ToolsetSpec, ...] = ()
    instruction: Annotated[Text, BeforeValidator(_one_text, json_schema_input_type=str | list[str])] = ""
    sub_agents: Texts = ()
    handoffs: Texts = ()
    rag: Texts = ()
    add_date: Flag = False
    add_environment_info: Flag = False
    code_mode_tools: Flag = False
    add_description_parameter: Flag = False
    readonly: Flag = False
    """It gets only the tools that say of themselves that they read and change nothing."""
    safety: SafetyPolicy = ""
    """The policy of new sessions that begin with this agent and name none; empty: that of `runtime`."""
    redact_secrets: Flag = False
    """Keys and tokens of known forms are masked: in what the model is shown, and in calls and results of tools before
    clients or the store see them."""
    max_iterations: Count = 0
    budgets: Texts = ()
    """Keys of the file's `budgets`, all of which the runs of this agent draw on."""
    max_consecutive_tool_calls: Count = 0
    """After so many turns in a row with the same calls and the same results the run ends; 0 is the default."""
    max_old_tool_call_tokens: Limit = 0
    """Tokens of old results of tools that the model is shown; 0 is the default, -1 is all."""
    max_tool_result_tokens: Limit = 0
    """Tokens of one result, beyond the limit that the model's window sets; 0 and -1: no other limit."""
    session_compaction: Flag | None = None
    """Whether the conversation is compacted by itself when the window is nearly full; it is unless this is false."""
    compaction_threshold: Share | None = None
    """The part of the window at which that happens."""
    compaction_model: Text = ""
    """The model that writes the summaries; empty: the agent's own."""
    max_run_seconds: Count = 0
    """For runs that begin with this agent, not counting waits for a person; 0 is no limit of its own."""
    num_history_items: Count = 0
    add_prompt_files: Texts = ()
    commands: Commands = Field(default_factory=dict)
    use_commands: Texts = ()
    """Keys of the file's `commands`; the agent's own come first."""
    structured_output: StructuredOutput | None = None
    skills: Skills = ()
    """Sources (`local`, addresses), names of the only skills that shall be taken from them, and skills themselves."""
    use_skills: Texts = ()
    """Keys of the file's `skills`."""
    use_toolsets: Texts = ()
    """Keys of the file's `toolsets`, which come behind the agent's own."""
    hooks: Hooks | None = None
    cache: Cache | None = None
    environment: Text = ""
    """The self-hosted environment, by name or id, whose workers make the calls of its `agent_toolset`."""

    @property
    def redacts_prompts(self) -> bool:
        """Are keys and tokens masked in what the model is shown?"""
        hooks = self.hooks.before_llm_call if self.hooks else ()
        return self.redact_secrets or any(hook.masks_secrets for hook in hooks)

    def _spec(self, toolset: ToolsetSpec) -> ToolsetSpec:
        return toolset.with_(readonly=True) if self.readonly else toolset

    def expanded(self, expander: Expander) -> Self:
        """With `${env.X}` filled in; the instruction is never expanded."""
        return self.with_(
            description=expander.expand(self.description),
            welcome_message=expander.expand(self.welcome_message),
            toolsets=tuple(self._spec(toolset).expanded(expander) for toolset in self.toolsets),
            commands={
                name: command.with_(
                    description=expander.expand(command.description),
                    instruction=expander.expand(command.instruction),
                )
                for name, command in self.commands.items()
            },
        )


class Agent(AgentDefinition):
    """An agent of a team, its variables expanded and its models found."""

    name: Text
    models: tuple[ModelSpec, ...]
    """The model, or the members of the alloy, of which each turn takes any."""
    fallback_models: tuple[ModelSpec, ...] = ()
    client_tools: tuple[ClientTool, ...] = ()
    servers: tuple[RemoteServer, ...] = ()
    roster: tuple[Colleague, ...] = ()
    """Agents of the team to whose threads it sends messages."""
    own_permissions: Permissions | None = None
    """The permissions of its threads, which count before the team's."""

    @property
    def starts_thinking(self) -> bool:
        """Whether a session that begins with this agent begins with thinking on."""
        return any(model.starts_thinking for model in self.models)

    def asking(self, reference: str) -> Self:
        """This agent with the model `provider/name` in place of its own: with the settings that its file has for
        that one, if it knows it. Unchanged for an empty reference."""
        known = [model for model in (*self.models, *self.fallback_models) if model.id == reference]
        definition = known[0] if known else inline(reference)
        if definition is None:
            return self
        return self.with_(models=(known[0] if known else ModelSpec.named(reference, definition),))
