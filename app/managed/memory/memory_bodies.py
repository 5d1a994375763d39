"""Request bodies for memory stores and memories, and the rules of their paths."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.managed.bodies import SOUND, Body, Metadata, MetadataPatch

MOST_BYTES: Final = 102_400
"""The most that a memory may have, as UTF-8."""

MOST_PATH_BYTES: Final = 1024
MOST_NAMES: Final = 20

_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Controls, formats, and separators of lines and paragraphs."""


def path_fault(path: str) -> str:
    """The fault of a memory's path; empty if it has none."""
    names = path.split("/")[1:]
    if not path.startswith("/"):
        return "must begin with /"
    if len(path.encode("utf-8", "surrogatepass")) > MOST_PATH_BYTES:
        return f"has more than {MOST_PATH_BYTES} bytes"
    if len(names) > MOST_NAMES:
        return f"has more than {MOST_NAMES} segments"
    if any(name in ("", ".", "..") for name in names):
        return "a segment can't be empty, . or .."
    if any(unicodedata.category(letter) in _UNSEEN for letter in path):
        return "can't hold control or format characters"
    if not unicodedata.is_normalized("NFC", path):
        return "must be in Unicode Normalization Form C"
    return ""


def content_fault(content: str) -> str:
    """The fault of a memory's content; empty if it has none."""
    if "\0" in content:
        return "a NUL character is not allowed here"
    size = len(content.encode("utf-8", "surrogatepass"))
    return f"it has {size} bytes, and at most {MOST_BYTES} are allowed" if size > MOST_BYTES else ""


def _checked_path(path: str) -> str:
    if fault := path_fault(path):
        raise _refusal(fault)
    return path


def _checked_content(content: str) -> str:
    if fault := content_fault(content):
        raise _refusal(fault)
    return content


def _seen(name: str) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise _refusal("can't hold control characters")
    return name


def _refusal(words: str) -> PydanticCustomError:
    return PydanticCustomError("memory", "{words}", {"words": words})


StoreName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_seen)]
Description = Annotated[str, Field(max_length=1024), SOUND]
Path = Annotated[str, AfterValidator(_checked_path)]
Content = Annotated[str, AfterValidator(_checked_content)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CreateStore(Body):
    name: StoreName
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)


class UpdateStore(Body):
    name: StoreName | None = None
    description: Description | None = None
    metadata: MetadataPatch | None = None


class CreateMemory(Body):
    path: Path
    content: Content | None


class Precondition(Body):
    type: Literal["content_sha256"]
    content_sha256: Sha256


class UpdateMemory(Body):
    path: Path | None = None
    content: Content | None = None
    precondition: Precondition | None = None


class Attached(Body):
    """A memory store among the resources of a session."""

    type: Literal["memory_store"]
    memory_store_id: Annotated[str, Field(min_length=1, max_length=64), SOUND]
    access: Literal["read_write", "read_only"] | None = None
    instructions: Annotated[str, Field(max_length=4096), SOUND] | None = None


def changed(before: dict[str, Any], body: UpdateStore, metadata: dict[str, str]) -> dict[str, Any]:
    """The store after an update. A description of null is empty; a name of null stays as it is."""
    after = {**before, "metadata": metadata}
    if body.name is not None:
        after["name"] = body.name
    if body.given("description"):
        after["description"] = body.description or ""
    return after
