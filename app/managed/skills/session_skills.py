"""Skills of a session: which versions it has, what its model is told of them, and their files in its directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from app.agent.tools.sandbox import FileRefused, Sandbox
from app.agent.tools.skill_head import MAIN
from app.conversation.session import Session
from app.errors import InvalidRequest, NotFound
from app.managed.agent_definition import repeated
from app.managed.id_validation import checked
from app.managed.skills.archives import below_top, unzipped
from app.managed.skills.versions import checked_version
from app.roots import Roots
from app.store.skill_store import SkillStore, SkillVersion

Json = dict[str, Any]

log = logging.getLogger(__name__)

PLACE: Final = "skills"
"""The directory with a session's skills, below its working directory."""

MAX_ANNOUNCED: Final = 200_000
"""Characters of the prompt that the skills' names and descriptions may take."""

_READ_ONLY: Final = 0o444
_EXECUTABLE: Final = 0o555


def found_skills(
    skills: SkillStore, given: Sequence[Json], place: str, *, owner: str | None
) -> list[SkillVersion]:
    """The versions that an agent's skills stand for now. InvalidRequest for one that is not there, and for those that
    can't be in one session. `place` is where they stand in the request."""
    ids = [one["skill_id"] for one in given]
    if (again := repeated(ids)) is not None:
        raise InvalidRequest(f'duplicate skill_id "{ids[again]}"')
    found: list[SkillVersion] = []
    for index, one in enumerate(given):
        where = f"{place}.{index}"
        if one["type"] != "custom":
            raise InvalidRequest(f"{where}.type: this server has no skills of Anthropic's; upload your own")
        try:
            skill_id, version = checked("skill", one["skill_id"]), checked_version(one["version"])
            found.append(skills.version(skill_id, version, owner=owner))
        except (NotFound, InvalidRequest) as error:
            named = f"{one['skill_id']}, version {one['version']}"
            raise InvalidRequest(f"{where}: {error.message.rstrip('.')}: {named[:200]}") from None
        if any(other.name == found[-1].name for other in found[:-1]):
            raise InvalidRequest(f"{where}: there is another skill with the name {found[-1].name}")
    if sum(len(one.name) + len(one.description) for one in found) > MAX_ANNOUNCED:
        raise InvalidRequest(
            f"{place}: their descriptions have more than {MAX_ANNOUNCED} characters together"
        )
    return found


def skills_of_all(
    skills: SkillStore, agents: Sequence[Json], place: str, *, owner: str | None
) -> list[SkillVersion]:
    """The versions that the skills of a session's agents stand for now, each once; in the agents they are pinned.
    InvalidRequest as of `found_skills`, and for two versions of one name, for all of them are in one directory."""
    by_name: dict[str, SkillVersion] = {}
    for agent in agents:
        found = found_skills(skills, agent["skills"], place, owner=owner)
        agent["skills"] = pinned(agent["skills"], found)
        for one in found:
            if by_name.setdefault(one.name, one).id != one.id:
                raise InvalidRequest(
                    f"{place}: agents of the roster have different skills with the name {one.name}"
                )
    return [*by_name.values()]


def pinned(given: Sequence[Json], found: Sequence[SkillVersion]) -> list[Json]:
    """The skills of an agent with the versions that they stand for."""
    return [{**one, "version": version.id} for one, version in zip(given, found, strict=True)]


def skill_settings(found: Sequence[SkillVersion]) -> list[Json]:
    """The part of a session's settings that is about its skills."""
    return [{"version": one.id, "name": one.name, "description": one.description} for one in found]


def skill_notes(settings: Mapping[str, Any], agent: Mapping[str, Any]) -> str:
    """The paragraph that tells the model of an agent's skills in the session; empty if it has none."""
    own = {one["version"] for one in agent.get("skills", ())}
    listed = "\n".join(
        f"  <skill>\n    <name>{one['name']}</name>\n"
        f"    <description>{escape(one['description'])}</description>\n"
        f"    <location>{PLACE}/{one['name']}/{MAIN}</location>\n  </skill>"
        for one in settings.get("skills", ())
        if one["version"] in own
    )
    if not listed:
        return ""
    return (
        "There are instructions for special kinds of work. Before you begin with one of these, read the file that is "
        "its location, which lies below your working directory. Files that it speaks of lie beside it.\n"
        f"<available_skills>\n{listed}\n</available_skills>"
    )


class SessionSkills:
    """Puts skills into the directories of sessions. Any thread may call it."""

    def __init__(self, skills: SkillStore, roots: Roots) -> None:
        self._skills = skills
        self._roots = roots

    def prepare(self, session: Session, settings: Mapping[str, Any]) -> None:
        """Call it before a run: the directory may lie on another machine, or have lost them. Files that are there stay.
        One that can't be written is left out, and logged. StoreUnavailable."""
        wanted = settings.get("skills", ())
        ground, directory = self._roots.of(session.owner), Path(session.working_dir)
        if not wanted or not ground.allows(directory.resolve()):
            return
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = Sandbox.on(ground, directory)
        for one in wanted:
            place = f"{PLACE}/{one['name']}"
            try:
                if not _is_there(files, f"{place}/{MAIN}"):
                    self._place(files, place, one["version"])
            except FileRefused as refusal:
                log.warning("session %s lacks the skill %s: %s", session.id, one["name"], refusal)

    def _place(self, files: Sandbox, place: str, version_id: str) -> None:
        """SKILL.md comes last: where it is, all files are."""
        found = unzipped(self._skills.archive_of(version_id))
        _, paths = below_top([path for path, _ in found])
        entries = [(path, file) for path, (_, file) in zip(paths, found, strict=True)]
        for path, file in sorted(entries, key=lambda entry: entry[0] == MAIN):
            where = f"{place}/{path}"
            try:
                files.make_directories(where.rpartition("/")[0])
                if not _is_there(files, where):
                    files.write(where, file.data, mode=_EXECUTABLE if file.executable else _READ_ONLY)
            except FileRefused as refusal:
                if path == MAIN:
                    raise
                log.warning("a file of a skill is left out: %s", refusal)


def _is_there(files: Sandbox, path: str) -> bool:
    try:
        return files.exists(path)
    except FileRefused as refusal:
        if refusal.is_more_than_absent:
            raise
        return False
