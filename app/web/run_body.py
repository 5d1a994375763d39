"""The body that starts a run."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from app.conversation.transcript import Message
from app.web.posted_messages import MessagesBody, messages_of
from app.web.request_body import posted_json, validated
from app.web.request_models import RequestModel

DEFAULT_MODEL: Final = "default"
"""As a run's `model`: the session's agents ask their own models again."""


class RunOptions(RequestModel):
    """The fields of a run's body besides its messages."""

    model: (
        Annotated[
            str, Field(max_length=211, pattern=r"^(default|anthropic/[A-Za-z0-9][A-Za-z0-9._:@-]{0,199})?$")
        ]
        | None
    ) = None

    @property
    def chosen_model(self) -> str | None:
        """Empty for the agents' own; None where the body says nothing."""
        return "" if self.model == DEFAULT_MODEL else self.model or None


RUN_BODY: Final = MessagesBody(options=RunOptions)


def read_run() -> tuple[list[Message], RunOptions]:
    """The run's body: messages, and beside them, if it is an object, what else it says."""
    value = posted_json()
    options = validated(RunOptions, value) if isinstance(value, dict) else RunOptions()
    return messages_of(value, exactly_one=False), options
