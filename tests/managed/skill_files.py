"""Skills as clients upload them."""

from __future__ import annotations

import io
import zipfile
from typing import Any


def skill_md(name: str = "poems", description: str = "Writes poems.", body: str = "Rhyme.") -> bytes:
    return f"---\nname: {name}\ndescription: {description}\n---\n{body}\n".encode()


def skill(name: str = "poems", **more: Any) -> list[Any]:
    """Files of a skill, as the SDK takes them."""
    return [
        (f"{name}/SKILL.md", skill_md(name, **more)),
        (f"{name}/notes/metre.md", b"Iambic."),
        (f"{name}/count.sh", b"#!/bin/sh\nwc -l\n"),
    ]


def zip_of(*entries: Any) -> bytes:
    """A zip of (name or ZipInfo, data)."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return written.getvalue()


def unzipped(data: bytes) -> dict[str, tuple[bytes, int]]:
    """The content and the mode of each entry."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            entry.filename: (archive.read(entry), entry.external_attr >> 16 & 0o777)
            for entry in archive.infolist()
        }
