"""An agent: as its file describes it, and as a session uses it."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.team.expansion import Expander
from app.team.fields import AgentFilePart, Count, Flag, Json, Seconds, Text, Texts, misused
from app.team.hook_definitions import Hooks
from app.team.model_definition import ModelSpec, inline
from app.team.output_schema import NotPossible, for_the_api
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

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"instruction": data}
        if isinstance(data, dict) and not data.get("instruction"):
            if not data.get("description"):
                raise PydanticCustomError(
                    "command", "command must have at least 'instruction' or 'description'"
                )
            return {**data, "instruction": data["description"]}
        return data


class StructuredOutput(AgentFilePart):
    name: Text
    description: Text = ""
    json_schema: Json = Field(alias="schema")
    strict: Flag = False

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


class AgentDefinition(AgentFilePart):
    model: Text = ""
    """A key of `models`, `provider/model`, `auto`, or a comma list of these; empty means `auto`."""
    fallback: Fallback | None = None
    description: Text = ""
    welcome_message: Text = ""
    toolsets: tuple[ToolsetSpec, ...] = ()
    instruction: Text = ""
    sub_agents: Texts = ()
    handoffs: Texts = ()
    rag: Texts = ()
    add_date: Flag = False
    add_environment_info: Flag = False
    code_mode_tools: Flag = False
    add_description_parameter: Flag = False
    max_iterations: Count = 0
    max_consecutive_tool_calls: Count = 0
    """After so many turns in a row with the same calls and the same results the run ends; 0 is the default."""
    max_run_seconds: Count = 0
    """For runs that begin with this agent, not counting waits for a person; 0 is no limit of its own."""
    num_history_items: Count = 0
    add_prompt_files: Texts = ()
    commands: Annotated[
        dict[Text, SlashCommand],
        BeforeValidator(
            _one_mapping,
            json_schema_input_type=dict[str, str | SlashCommand] | list[dict[str, str | SlashCommand]],
        ),
    ] = Field(default_factory=dict)
    structured_output: StructuredOutput | None = None
    skills: Annotated[Texts, BeforeValidator(_sources, json_schema_input_type=bool | list[str])] = ()
    hooks: Hooks | None = None

    def expanded(self, expander: Expander) -> Self:
        """With `${env.X}` filled in; the instruction is never expanded."""
        return self.with_(
            description=expander.expand(self.description),
            welcome_message=expander.expand(self.welcome_message),
            toolsets=tuple(toolset.expanded(expander) for toolset in self.toolsets),
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

    def asking(self, reference: str) -> Self:
        """This agent with the model `provider/name` in place of its own: with the settings that its file has for
        that one, if it knows it. Unchanged for an empty reference."""
        known = [model for model in (*self.models, *self.fallback_models) if model.id == reference]
        definition = known[0] if known else inline(reference)
        if definition is None:
            return self
        return self.with_(models=(known[0] if known else ModelSpec.named(reference, definition),))
