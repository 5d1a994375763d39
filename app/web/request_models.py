"""The base of the classes of request bodies, and the fields and bodies that more than one route has."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.conversation.blocks import MAX_DEPTH, is_deep
from app.conversation.safety import GivenPolicy, SafetyPolicy, policy_named
from app.conversation.session import MAX_MODELS, MAX_PATTERNS, Choices
from app.team.permissions import is_pattern

MAX_TEXT: Final = 5_000_000
MAX_PROPERTIES: Final = 1000  # of an object whose keys the client chooses
MAX_JSON: Final = 1_000_000  # bytes of such an object
MAX_PATTERN: Final = 1000  # characters


def no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character is not allowed here")
    return text


NO_NUL: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*$"}
Name = Annotated[str, AfterValidator(no_nul), Field(max_length=4096, json_schema_extra=NO_NUL)]
Reason = Annotated[str, AfterValidator(no_nul), Field(max_length=10_000, json_schema_extra=NO_NUL)]


def _no_longer_than_paths(text: str) -> str:
    """Not said as `maxLength`: whatever has exactly that length is no directory either."""
    if len(text) > 4096:
        raise ValueError("a path has at most 4096 characters")
    return no_nul(text)


Directory = Annotated[
    str, AfterValidator(_no_longer_than_paths), Field(json_schema_extra={"format": "directory"})
]


def whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is as whole as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_bounded_size(value: dict[str, Any]) -> dict[str, Any]:
    if is_deep(value):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if len(orjson.dumps(value)) > MAX_JSON:
        raise ValueError(f"it is longer than {MAX_JSON} bytes")
    return value


Json = Annotated[dict[str, Any], AfterValidator(_of_bounded_size), Field(max_length=MAX_PROPERTIES)]
Iterations = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(whole)]


class RequestModel(BaseModel):
    """Unknown keys are ignored, as the contract's server does: its clients post whole objects back."""

    model_config = ConfigDict(strict=True, frozen=True)


def _can_be_parsed(pattern: str) -> str:
    if not is_pattern(pattern):
        raise ValueError(f"{pattern!r} is not a pattern")
    return pattern


_FORM: Final = {**NO_NUL, "format": "permission-pattern"}
Pattern = Annotated[
    str,
    Field(max_length=MAX_PATTERN, json_schema_extra=_FORM),  # first: what is longer takes long to parse
    AfterValidator(no_nul),
    AfterValidator(_can_be_parsed),
]
Patterns = Annotated[list[Pattern], Field(max_length=MAX_PATTERNS)]


class PermissionsBody(RequestModel):
    allow: Patterns | None = None
    ask: Patterns | None = None
    deny: Patterns | None = None

    def value(self) -> dict[str, list[str]]:
        return {key: list(patterns) for key, patterns in self if patterns}


ModelReference = Annotated[
    str, AfterValidator(no_nul), Field(min_length=1, max_length=211, json_schema_extra=NO_NUL)
]


class CreateSession(RequestModel):
    """`mode` is an older name of `safety_policy`, which counts more. `agent_model_overrides`: the models that agents
    ask in this session, by the agents' names."""

    max_iterations: Iterations | None = None
    tools_approved: bool | None = None
    working_dir: Directory | None = None
    permissions: PermissionsBody | None = None
    safety_policy: GivenPolicy | None = None
    mode: GivenPolicy | None = None
    title: Name | None = None
    disable_title: bool | None = None
    agent_model_overrides: Annotated[dict[Name, ModelReference], Field(max_length=MAX_MODELS)] | None = None
    custom_models_used: Annotated[list[ModelReference], Field(max_length=MAX_MODELS)] | None = None

    @property
    def policy(self) -> SafetyPolicy:
        """A policy that is said counts more than `tools_approved`."""
        given = policy_named(self.safety_policy or self.mode or "")
        return given or ("autonomous" if self.tools_approved else "")

    @property
    def choices(self) -> Choices:
        return Choices(
            models=self.agent_model_overrides or {},
            models_used=tuple(self.custom_models_used or ()),
            without_title=bool(self.disable_title),
        )


Tokens = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(whole)]
