"""The part of a request of the Managed Agents API that names the agents to which an agent gives work."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from app.managed.bodies import SOUND, Body

MAX_MEMBERS: Final = 20

_NOT_HERE: Final = {
    "multiagent_20261001": "multiagent_20261001 is not supported here: give a roster of the type coordinator",
    "advisor": "advisors are not supported here: this server consults no other model in the middle of a turn",
}


def _known_here(given: object) -> object:
    kind = given.get("type") if isinstance(given, dict) else None
    if isinstance(kind, str) and kind in _NOT_HERE:
        raise PydanticCustomError("roster", "{words}", {"words": _NOT_HERE[kind]})
    return given


class Member(Body):
    """Without a version it is the newest one when the roster is stored."""

    type: Literal["agent"]
    id: Annotated[str, Field(min_length=1, max_length=64), SOUND]
    version: Annotated[int, Field(ge=1)] | None = None


class Itself(Body):
    """The agent that has the roster may give work to copies of itself."""

    type: Literal["self"]


_GivenMember = Annotated[
    Annotated[Member | Itself, Discriminator("type")],
    BeforeValidator(lambda given: {"type": "agent", "id": given} if isinstance(given, str) else given),
    BeforeValidator(_known_here),
]


class Roster(Body):
    type: Literal["coordinator"]
    agents: Annotated[list[_GivenMember], Field(min_length=1, max_length=MAX_MEMBERS)]


GivenRoster = Annotated[Roster, BeforeValidator(_known_here)]
