"""Events that a client may send to a session of the Managed Agents API."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.managed.bodies import SOUND, Body, Text

Json = dict[str, Any]


class TextBlock(Body):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1), SOUND]


class Base64Image(Body):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(min_length=1), SOUND]


class ImageBlock(Body):
    type: Literal["image"]
    source: Base64Image


Block = Annotated[TextBlock | ImageBlock, Discriminator("type")]
Content = Annotated[list[Block], Field(min_length=1)]


class UserMessage(Body):
    type: Literal["user.message"]
    content: Content

    def blocks(self) -> list[Json]:
        return [block.model_dump() for block in self.content]


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


InitialEvent = UserMessage
Event = Annotated[UserMessage | Interrupt | ToolConfirmation, Discriminator("type")]


class SendEvents(Body):
    events: Annotated[list[Event], Field(min_length=1, max_length=50)]


SENT: Final = (UserMessage, Interrupt, ToolConfirmation)
