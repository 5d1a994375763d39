"""What a request may say of a session's resources."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from app.managed.bodies import SOUND, Body
from app.managed.memory.memory_bodies import Attached

Json = dict[str, Any]

_Id = Annotated[str, Field(min_length=1, max_length=64), SOUND]
_Path = Annotated[str, Field(min_length=1, max_length=4096), SOUND]


class FileResource(Body):
    type: Literal["file"]
    file_id: _Id
    mount_path: _Path | None = None


_NOT_HERE = {
    "github_repository": "resources of the type github_repository are not supported here yet",
}


def _known_here(resource: object) -> object:
    kind = resource.get("type") if isinstance(resource, dict) else None
    if isinstance(kind, str) and kind in _NOT_HERE:
        raise PydanticCustomError("resource", "{words}", {"words": _NOT_HERE[kind]})
    return resource


GivenResource = Annotated[
    Annotated[FileResource | Attached, Discriminator("type")], BeforeValidator(_known_here)
]
GivenResources = Annotated[list[GivenResource], Field(max_length=1000)]


class UpdateResource(Body):
    authorization_token: Annotated[str, Field(min_length=1, max_length=4096), SOUND]
