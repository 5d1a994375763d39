"""Skills: directories with a `SKILL.md`, below well-known places or on a web server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import orjson
import yaml

from app.agent.model import Cancellation
from app.agent.tools.configured_http import RequestFailed, send

MAX_FILE: Final = 200_000  # bytes
MAX_SKILLS: Final = 100  # from one place
MAX_FILES: Final = 200  # of one skill
MAIN: Final = "SKILL.md"

_MAX_DEPTH: Final = 6


class SkillUnreadable(Exception):
    """In the contract's words."""


@dataclass(frozen=True, slots=True)
class Skill:
    """`place` is its directory, or its address. `files` are those beside SKILL.md, as relative paths."""

    name: str
    description: str
    place: Path | str
    files: tuple[str, ...] = ()

    def read(self, path: str, cancellation: Cancellation) -> str:
        """Raises SkillUnreadable; nothing outside the skill's directory is read, through links neither."""
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise SkillUnreadable(f'invalid file path "{path}"')
        if isinstance(self.place, str):
            return _fetched(f"{self.place}/{quote(path)}", cancellation)
        file = (self.place / path).resolve()
        if not file.is_relative_to(self.place.resolve()):
            raise SkillUnreadable(f'path "{path}" escapes skill directory')
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_FILE + 1)
        except OSError as error:
            raise SkillUnreadable(f"reading file: {error.strerror or error}") from error
        return _text(data)


def local_skills(home: Path, working_dir: Path) -> dict[str, Skill]:
    """Of two of one name the one that is nearer to the working directory counts."""
    found: dict[str, Skill] = {}
    for place, depth in _places(home, working_dir):
        for folder in _folders(place, depth):
            skill = _skill(folder)
            if skill is not None:
                found[skill.name] = skill
    return found


def remote_skills(url: str, cancellation: Cancellation) -> dict[str, Skill]:
    """As the index of the web server names them. Raises SkillUnreadable."""
    base = f"{url.rstrip('/')}/.well-known/skills"
    try:
        listed = orjson.loads(_fetched(f"{base}/index.json", cancellation))["skills"][:MAX_SKILLS]
        skills = [
            Skill(
                str(one["name"]),
                str(one.get("description", "")),
                f"{base}/{quote(str(one['name']), safe='')}",
                tuple(str(file) for file in one.get("files") or () if file != MAIN)[:MAX_FILES],
            )
            for one in listed
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SkillUnreadable(f"{base}/index.json is no index of skills") from error
    return {skill.name: skill for skill in skills}


def _places(home: Path, working_dir: Path) -> Iterator[tuple[Path, int]]:
    """Where to look and how deep, the more important later."""
    yield home / ".codex" / "skills", _MAX_DEPTH
    yield home / ".claude" / "skills", 1
    yield home / ".agents" / "skills", _MAX_DEPTH
    yield working_dir / ".claude" / "skills", 1
    lineage = [working_dir, *working_dir.parents]
    root = next((place for place in lineage if (place / ".git").exists()), working_dir)
    for place in reversed(lineage[: lineage.index(root) + 1]):
        yield place / ".agents" / "skills", _MAX_DEPTH


def _folders(place: Path, depth: int) -> list[Path]:
    """Directories with a SKILL.md, sorted; a skill's own directories are not looked into."""
    found: list[Path] = []
    for current, folders, files in os.walk(place):
        here = Path(current)
        if MAIN in files and here != place:
            found.append(here)
        if MAIN in files or len(here.relative_to(place).parts) >= depth or len(found) >= MAX_SKILLS:
            folders.clear()
        folders.sort()
    return found


def _skill(folder: Path) -> Skill | None:
    """None without a description: nobody would know when to read it."""
    try:
        with (folder / MAIN).open("rb") as opened:
            head = _front_matter(_text(opened.read(MAX_FILE + 1)))
    except (OSError, SkillUnreadable):
        return None
    description = head.get("description")
    if not isinstance(description, str) or not description.strip():
        return None
    return Skill(str(head.get("name") or folder.name), description.strip(), folder, tuple(_files(folder)))


def _files(folder: Path) -> list[str]:
    found: list[str] = []
    for current, folders, files in os.walk(folder):
        folders.sort()
        found += [str((Path(current) / name).relative_to(folder)) for name in sorted(files)]
        if len(found) > MAX_FILES:
            break
    return [name for name in found[:MAX_FILES] if name != MAIN]


def _front_matter(text: str) -> dict[str, Any]:
    begin, _, rest = text.partition("---\n")
    head, end, _ = rest.partition("\n---")
    if begin.strip("\ufeff \n") or not end:
        return {}
    try:
        value = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _fetched(url: str, cancellation: Cancellation) -> str:
    try:
        answer = send("GET", url, headers={}, cancellation=cancellation, limit=MAX_FILE)
    except RequestFailed as failure:
        raise SkillUnreadable(f"reading file: {failure}") from failure
    if answer.status != 200:
        raise SkillUnreadable(f"reading file: {url} answers with status {answer.status}")
    return _text(answer.body + b"x" * answer.is_cut)


def _text(data: bytes) -> str:
    if len(data) > MAX_FILE:
        raise SkillUnreadable(f"reading file: larger than {MAX_FILE} bytes")
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "\ufffd")
