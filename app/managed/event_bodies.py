"""Events that a client may send to a session of the Managed Agents API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from app.conversation.grading import outcome_block
from app.conversation.system_words import system_block
from app.managed.bodies import SOUND, Body, Text
from app.managed.content import (
    MAX_BLOCKS,
    MessageBlock,
    Parts,
    ResultBlock,
    TextBlock,
    as_json,
    checked,
    for_model,
    is_empty,
    names_file,
)
from app.managed.pending_calls import RESOLVED
from app.managed_ids import new_id

Json = dict[str, Any]


def _says_something(parts: Parts) -> Parts:
    if is_empty(parts):
        raise PydanticCustomError("content", "a message must have more than white space")
    return parts


_CHECKED = AfterValidator(checked)
Content = Annotated[
    list[MessageBlock],
    Field(min_length=1, max_length=MAX_BLOCKS),
    _CHECKED,
    AfterValidator(_says_something),
]
ResultContent = Annotated[list[ResultBlock], Field(max_length=MAX_BLOCKS), _CHECKED]


class UserMessage(Body):
    type: Literal["user.message"]
    content: Content

    def blocks(self, resolved: Parts) -> tuple[list[Json], list[Json]]:
        """The blocks for the model, and those for clients. `resolved` is the content with what the files hold."""
        shown = for_model(resolved)
        told = [
            part.model_dump(exclude_none=True) if names_file(part) else block
            for part, block in zip(self.content, shown, strict=True)
        ]
        return shown, told


class Interrupt(Body):
    type: Literal["user.interrupt"]
    session_thread_id: Text | None = None


class ToolConfirmation(Body):
    type: Literal["user.tool_confirmation"]
    tool_use_id: Text
    result: Literal["allow", "deny"]
    deny_message: Annotated[str, Field(max_length=10_000), SOUND] | None = None

    @model_validator(mode="after")
    def _says_why_only_if_denied(self) -> ToolConfirmation:
        if self.deny_message is not None and self.result == "allow":
            raise PydanticCustomError("deny_message", "deny_message is only allowed with result deny")
        return self


class CustomToolResult(Body):
    type: Literal["user.custom_tool_result"]
    custom_tool_use_id: Text
    content: ResultContent | None = None
    is_error: bool | None = None

    def body(self, resolved: Parts) -> Json:
        return _result(self, "custom_tool_use_id", resolved)


class UserToolResult(Body):
    type: Literal["user.tool_result"]
    tool_use_id: Text
    content: ResultContent | None = None
    is_error: bool | None = None

    def body(self, resolved: Parts) -> Json:
        return _result(self, "tool_use_id", resolved)


def _result(event: CustomToolResult | UserToolResult, use: str, resolved: Parts) -> Json:
    """The event without its id: what was sent, and beside it what files hold (`RESOLVED`), if it names any."""
    said: Json = {use: getattr(event, use)}
    if event.content is not None:
        said["content"] = as_json(event.content)
        if any(map(names_file, event.content)):
            said[RESOLVED] = as_json(resolved)
    if event.is_error is not None:
        said["is_error"] = event.is_error
    return said


class SystemMessage(Body):
    type: Literal["system.message"]
    content: Annotated[
        list[TextBlock], Field(min_length=1, max_length=MAX_BLOCKS), AfterValidator(_says_something)
    ]

    def blocks(self) -> list[Json]:
        return [system_block(block.text) for block in self.content if block.text.strip()]


def _comes_with_text(rubric: object) -> object:
    if isinstance(rubric, dict) and rubric.get("type") == "file":
        raise PydanticCustomError(
            "rubric", "rubrics of the type file are not supported here yet; send the text"
        )
    return rubric


def _is_said(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "must have more than white space")
    return text


_Said = Annotated[Text, AfterValidator(_is_said)]


class TextRubric(Body):
    type: Literal["text"]
    content: Annotated[_Said, Field(max_length=262_144)]


class DefineOutcome(Body):
    type: Literal["user.define_outcome"]
    description: _Said
    rubric: Annotated[TextRubric, BeforeValidator(_comes_with_text)]
    max_iterations: Annotated[int, Field(ge=1, le=20)] | None = None
    _id: str = PrivateAttr(default_factory=lambda: new_id("outc"))

    def blocks(self) -> list[Json]:
        return [outcome_block(self._id, self.description, self.rubric.content)]

    def body(self) -> Json:
        return {
            "outcome_id": self._id,
            "description": self.description,
            "rubric": self.rubric.model_dump(),
            "max_iterations": self.max_iterations or MAX_ITERATIONS,
        }


def outcomes_in(events: Sequence[Body]) -> int:
    return sum(isinstance(event, DefineOutcome) for event in events)


MAX_ITERATIONS: Final = 3
"""Evaluations of an outcome that does not say how many there may be."""


InitialEvent = Annotated[UserMessage | DefineOutcome, Discriminator("type")]
Event = Annotated[
    UserMessage
    | SystemMessage
    | DefineOutcome
    | Interrupt
    | ToolConfirmation
    | CustomToolResult
    | UserToolResult,
    Discriminator("type"),
]


class SendEvents(Body):
    events: Annotated[list[Event], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _has_system_message_last(self) -> SendEvents:
        """Behind what it accompanies, or alone."""
        places = [place for place, event in enumerate(self.events) if isinstance(event, SystemMessage)]
        if len(places) > 1:
            raise PydanticCustomError("system", "events: at most one system.message is allowed in a request")
        if places and places[0] != len(self.events) - 1:
            raise PydanticCustomError(
                "system", "events: a system.message must be the last event of its request"
            )
        if (
            places
            and places[0]
            and not isinstance(self.events[-2], UserMessage | CustomToolResult | UserToolResult)
        ):
            raise PydanticCustomError(
                "system",
                "events: a system.message must follow a user.message, user.tool_result or user.custom_tool_result, "
                "or stand alone",
            )
        return self
