"""Where the resources of a session of the Managed Agents API are mounted."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from typing import Final

from app.agent.tools.autoexec_paths import executed_place
from app.agent.tools.path_walk import MAX_NAMES
from app.agent.tools.session_places import OUTPUTS, PLACES, UPLOADS, absolute, relative
from app.errors import InvalidRequest

MAX_PATH: Final = 4096
_MAX_NAME: Final = 255  # bytes, as file systems have it
_ROOT: Final = "/mnt/session/uploads"
_WORKSPACE: Final = "/workspace"
_TAKEN: Final = (UPLOADS, OUTPUTS, "memory", "skills")

__all__ = ["PLACES", "absolute", "file_mount", "refuse_overlap", "relative", "repository_mount"]


def file_mount(given: str | None, file_id: str) -> str:
    """The absolute path of a file that is mounted. InvalidRequest."""
    if given is None:
        return f"{_ROOT}/{file_id}"
    inner = given[len(_ROOT) :] if given == _ROOT or given.startswith(f"{_ROOT}/") else given
    path = posixpath.normpath(inner.strip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise InvalidRequest(f'Invalid file resource: mount path "{given[:200]}" escapes /uploads/')
    if path == ".":
        raise InvalidRequest("Invalid file resource: `mount_path` must name a file")
    _check(path, given, "Invalid file resource")
    return f"{_ROOT}/{path}"


def repository_mount(given: str | None, name: str) -> str:
    """The absolute path of a repository. InvalidRequest."""
    path = posixpath.normpath(given if given is not None else f"{_WORKSPACE}/{name}")
    if not path.startswith(f"{_WORKSPACE}/"):
        raise InvalidRequest("Invalid github_repository resource: `mount_path` must lie below /workspace/")
    below = path[len(_WORKSPACE) + 1 :]
    if below.split("/")[0].casefold() in _TAKEN:
        raise InvalidRequest(
            f"Invalid github_repository resource: `mount_path` {path} is taken by the server"
        )
    _check(below, path, "Invalid github_repository resource")
    return path


def refuse_overlap(path: str, others: Iterable[str], kind: str) -> None:
    """InvalidRequest if one of them is the same, or lies in another one. Disks that don't tell capital letters from
    small ones are heeded."""
    mine = path.casefold()
    for other in others:
        theirs = other.casefold()
        if mine == theirs or mine.startswith(f"{theirs}/") or theirs.startswith(f"{mine}/"):
            shown = other.removeprefix("/mnt/session")
            raise InvalidRequest(f"Invalid {kind} resource: `mount_path` overlaps another resource: {shown}")


def _check(path: str, given: str, words: str) -> None:
    names = path.split("/")
    if (
        len(given) > MAX_PATH
        or len(names) >= MAX_NAMES
        or any(len(name.encode("utf-8", "replace")) > _MAX_NAME for name in names)
    ):
        raise InvalidRequest(f"{words}: `mount_path` is too long")
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in path):
        raise InvalidRequest(f"{words}: `mount_path` has characters that are not allowed")
    if executed_place(names, is_file=True):
        raise InvalidRequest(f"{words}: `mount_path`: other programs execute what is there")
