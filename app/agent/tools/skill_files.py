"""Skills: directories with a `SKILL.md`, below well-known places or on a web server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from app.agent.model_client import Cancellation
from app.agent.tools.configured_http import RequestFailed, send
from app.agent.tools.file_reading import decode
from app.agent.tools.sandbox import FileRefused, Sandbox, visible
from app.agent.tools.skill_head import MAIN, MAX_FILE, front_matter
from app.conversation.json_text import loads, mended
from app.roots import Ground

MAX_SKILLS: Final = 100  # from one place
MAX_FILES: Final = 200  # of one skill
MAX_NAME: Final = 200  # characters
MAX_DESCRIPTION: Final = 2_000  # characters
MAX_DIRECTORIES: Final = (
    1000  # looked into for the skills of one place, and as many for the files of all of them
)
_MAX_DEPTH: Final = 6


class SkillUnreadable(Exception):
    """In the contract's words."""


@dataclass(frozen=True, slots=True)
class Skill:
    """`place` is its directory below the root of `files_in`, or its address. `files` are those beside SKILL.md, as
    relative paths."""

    name: str
    description: str
    place: str
    files: tuple[str, ...] = ()
    files_in: Sandbox | None = None
    text: str = ""  # of one that an agent file writes out; it has no files

    def read(self, path: str, cancellation: Cancellation) -> str:
        """Raises SkillUnreadable; nothing outside the skill's directory is read, through links neither."""
        if self.text:
            return self._text_of(path)
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise SkillUnreadable(f'invalid file path "{path}"')
        if self.files_in is None:
            return _fetched(f"{self.place}/{quote(path)}", cancellation)
        try:
            content = self.files_in.read(f"{self.place}/{path}", MAX_FILE)
        except FileRefused as refusal:
            why = os.strerror(refusal.number) if refusal.number else refusal
            raise SkillUnreadable(f"reading file: {why}") from refusal
        if not content.path.startswith(f"{self.place}/"):
            raise SkillUnreadable(f'path "{path}" escapes skill directory')
        return _text(decode(content.data), content.size)

    def _text_of(self, path: str) -> str:
        if path != MAIN:
            raise SkillUnreadable(f'invalid file path "{path}"')
        return self.text


def local_skills(ground: Ground, working_dir: Path) -> dict[str, Skill]:
    """The nearest one to the working directory counts of those with one name."""
    found: dict[str, Skill] = {}
    for sandbox, place, depth in _places(ground, working_dir):
        for folder, names in _folders(sandbox, place, depth):
            skill = _skill(sandbox, folder, names)
            if skill is not None:
                found[skill.name] = skill
    return found


def remote_skills(url: str, cancellation: Cancellation) -> dict[str, Skill]:
    """As the index of the web server names them. Raises SkillUnreadable."""
    base = f"{url.rstrip('/')}/.well-known/skills"
    try:
        listed = mended(loads(_fetched(f"{base}/index.json", cancellation)))["skills"][:MAX_SKILLS]
        skills = [
            Skill(
                _readable(one["name"])[:MAX_NAME],
                _readable(one.get("description", ""))[:MAX_DESCRIPTION],
                f"{base}/{quote(str(one['name']), safe='')}",
                tuple(_readable(file) for file in one.get("files") or () if file != MAIN)[:MAX_FILES],
            )
            for one in listed
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SkillUnreadable(f"{base}/index.json is no index of skills") from error
    return {skill.name: skill for skill in skills}


def _places(ground: Ground, working_dir: Path) -> Iterator[tuple[Sandbox, str, int]]:
    """Where to look and how deep, the more important later. Links may lead anywhere below the session's root, or
    below the home directory for what lies there."""
    if ground.home is not None:
        home = Sandbox(ground.home, ground.own)
        yield home, ".codex/skills", _MAX_DEPTH
        yield home, ".claude/skills", 1
        yield home, ".agents/skills", _MAX_DEPTH
    top = ground.top(working_dir)
    below = Sandbox.on(ground, top)
    resolved = working_dir.resolve()
    yield below, str(resolved.relative_to(top) / ".claude/skills"), 1
    lineage = [place for place in (resolved, *resolved.parents) if place.is_relative_to(top)]
    root = next((place for place in lineage if (place / ".git").exists()), resolved)
    for place in reversed(lineage[: lineage.index(root) + 1]):
        yield below, str(place.relative_to(top) / ".agents/skills"), _MAX_DEPTH


def _folders(sandbox: Sandbox, place: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Directories with a SKILL.md, in order, each with its files; a skill's own directories hold no other."""
    found, looked_at, waiting, for_files = 0, 0, [(place, 0)], _Rest(MAX_DIRECTORIES)
    while waiting and found < MAX_SKILLS and looked_at < MAX_DIRECTORIES:
        current, level = waiting.pop()
        looked_at += 1
        try:
            real, entries = sandbox.entries(current)
        except FileRefused:
            continue
        if level and any(entry.name == MAIN for entry in entries):
            found += 1
            yield real, _files(sandbox, real, for_files)
        elif level < depth:
            inner = [(f"{real}/{entry.name}", level + 1) for entry in entries if entry.is_directory]
            waiting += reversed(inner)


def _skill(sandbox: Sandbox, folder: str, files: list[str]) -> Skill | None:
    """None without a description: no model would know when to read it."""
    try:
        content = sandbox.read(f"{folder}/{MAIN}", MAX_FILE)
        head = front_matter(_text(decode(content.data), content.size))
    except (FileRefused, SkillUnreadable):
        return None
    description = head.get("description")
    if not isinstance(description, str) or not description.strip():
        return None
    name = str(head.get("name") or folder.rpartition("/")[2])[:MAX_NAME]
    return Skill(name, description.strip()[:MAX_DESCRIPTION], folder, tuple(files), sandbox)


@dataclass(slots=True)
class _Rest:
    """How many directories may still be looked into."""

    left: int


def _files(sandbox: Sandbox, folder: str, rest: _Rest) -> list[str]:
    """The files beside SKILL.md that lie not too deep, as paths below the skill's directory."""
    found: list[str] = []
    waiting, deepest = [folder], folder.count("/") + _MAX_DEPTH
    while waiting and len(found) < MAX_FILES and rest.left:
        current = waiting.pop()
        rest.left -= 1
        if current.count("/") > deepest:
            continue
        try:
            entries = sandbox.entries(current)[1]
        except FileRefused:
            continue
        paths = [(f"{current}/{visible(entry.name)}", entry) for entry in entries]
        found += [path[len(folder) + 1 :] for path, entry in paths if not entry.is_directory]
        waiting += reversed([path for path, entry in paths if entry.is_directory])
    return [name for name in found if name != MAIN][:MAX_FILES]


def _fetched(url: str, cancellation: Cancellation) -> str:
    try:
        answer = send("GET", url, headers={}, cancellation=cancellation, limit=MAX_FILE)
    except RequestFailed as failure:
        raise SkillUnreadable(f"reading file: {failure}") from failure
    if answer.status != 200:
        raise SkillUnreadable(f"reading file: {url} answers with status {answer.status}")
    return _text(answer.text, len(answer.body) + answer.is_cut)


def _readable(value: object) -> str:
    return str(value).replace("\0", "\ufffd")


def _text(text: str, size: int) -> str:
    if size > MAX_FILE:
        raise SkillUnreadable(f"reading file: larger than {MAX_FILE} bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")
