"""The part of a request that must never change while it lasts: system, tools and model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FrozenPrompt:
    """Made once per session and agent, stored, and sent byte for byte for its whole life.

    Today's models sign their thinking over everything before it. A prompt that has to change (another definition, a
    compaction) is therefore a new one with a new digest, and thinking made under the old one is not sent.
    """

    digest: str
    agent: str
    definition: str  # digest of what it was made from: agent file, tools, epoch of the session
    model: str
    system: str  # JSON array of text blocks; empty for none
    tools: str  # JSON array of tool definitions; empty for none
    definitions: Sequence[dict[str, Any]] = ()  # the same tools as readers are told of them


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The prompt's facts about the world outside, read once when the prompt is made."""

    date: str  # YYYY-MM-DD
    working_dir: str
    is_git_repository: bool
    platform: str
    architecture: str
    prompt_files: Sequence[str] = ()  # their contents
