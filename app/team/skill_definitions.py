"""Skills that an agent file writes out itself."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from app.team.fields import AgentFilePart, Text

_FORKED = "it counts only for skills that run as an agent of their own, and these run in the conversation"

_Words = Annotated[Text, Field(min_length=1)]


class InlineSkill(AgentFilePart):
    not_here: ClassVar = {
        "context": "skills are read in the conversation, they don't run as an agent of their own",
        "model": _FORKED,
        "allowed_tools": _FORKED,
        "toolsets": _FORKED,
    }
    name: _Words
    description: _Words
    instructions: _Words
