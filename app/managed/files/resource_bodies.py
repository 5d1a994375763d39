"""The bodies of requests about a session's resources."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from app.agent.tools import git_command
from app.managed.bodies import SOUND, Body
from app.managed.memory.memory_bodies import Attached

Json = dict[str, Any]

_NO_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock/")
_NO_ADDRESS: Final = re.compile(r"[\x00-\x20\x7f\\]")

_Id = Annotated[str, Field(min_length=1, max_length=64), SOUND]
_Path = Annotated[str, Field(min_length=1, max_length=4096), SOUND]


def _token(text: str) -> str:
    if not all("!" <= letter <= "~" for letter in text):
        raise PydanticCustomError("token", "it must be printable ASCII without spaces")
    return text


_Token = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_token)]


class FileResource(Body):
    type: Literal["file"]
    file_id: _Id
    mount_path: _Path | None = None


def _branch(name: str) -> str:
    if name.startswith(("-", "/", ".")) or name.endswith(("/", ".", ".lock")) or _NO_BRANCH.search(name):
        raise PydanticCustomError("branch", "it is no name of a branch")
    return name


class Branch(Body):
    type: Literal["branch"]
    name: Annotated[str, Field(min_length=1, max_length=255), SOUND, AfterValidator(_branch)]


class Commit(Body):
    type: Literal["commit"]
    sha: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")]


def _repository(url: str) -> str:
    """The address of a repository, in plain words."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise PydanticCustomError("url", "it is no address of a repository") from None
    if parts.scheme not in git_command.SCHEMES or not parts.hostname or not has_port:
        raise PydanticCustomError("url", "it must be an https address")
    if parts.username or parts.password or parts.query or parts.fragment or _NO_ADDRESS.search(url):
        raise PydanticCustomError("url", "it must have no credentials, query or fragment, and no white space")
    if not repository_name(url):
        raise PydanticCustomError("url", "it names no repository")
    return url


def repository_name(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")


class RepositoryResource(Body):
    type: Literal["github_repository"]
    url: Annotated[str, Field(min_length=1, max_length=2048), SOUND, AfterValidator(_repository)]
    authorization_token: _Token | None = None
    checkout: Annotated[Branch | Commit, Discriminator("type")] | None = None
    mount_path: _Path | None = None


GivenResource = Annotated[FileResource | RepositoryResource | Attached, Discriminator("type")]
GivenResources = Annotated[list[GivenResource], Field(max_length=1000)]


class UpdateResource(Body):
    authorization_token: _Token
