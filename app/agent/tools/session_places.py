"""Places of a session as the Managed Agents API writes them, and where they lie in the session's own directory."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MANAGED: Final = "sesn_"
"""How the name of such a session's directory begins."""

UPLOADS: Final = "uploads"
OUTPUTS: Final = "outputs"

PLACES: Final[Mapping[str, str]] = {
    "/mnt/session/uploads": UPLOADS,
    "/mnt/session/outputs": OUTPUTS,
    "/mnt/memory": "memory",
    "/workspace": "",
}
"""From the API's directory to that below the working directory."""


def relative(path: str) -> str | None:
    """The path below the working directory that the API's absolute path stands for; None for any other path. It does
    not lead out of its place."""
    if not path.startswith("/"):
        return None
    plain = posixpath.normpath(path)
    for place, below in PLACES.items():
        if plain == place or plain.startswith(f"{place}/"):
            return posixpath.join(below, plain[len(place) + 1 :]) or "."
    return None


def found_in(root: Path, path: str) -> str:
    """The path as the file tools take it: one of the API's places is that of the session. Where such a directory
    really holds the working directory, it means itself."""
    below = relative(path)
    return path if below is None or Path(path).is_relative_to(root) else below


def absolute(path: str) -> str:
    """The API's path of one below the working directory."""
    for place, below in PLACES.items():
        if below and (path == below or path.startswith(f"{below}/")):
            return place + path[len(below) :]
    return posixpath.join("/workspace", path)
