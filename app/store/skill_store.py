"""Skills that clients have uploaded: their versions, and the archive of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, delete, insert, select, update

from app.errors import InvalidRequest, NotFound
from app.store.clock import now
from app.store.definitions import add, archive, lock, require_own, usable
from app.store.engine import Database
from app.store.key_pages import Window, within
from app.store.managed_tables import (
    session_skills,
    skill_archives,
    skill_versions,
    skills,
)
from app.store.quotas import NO_LIMITS, Limits

PART_BYTES: Final = 1 << 20
"""The size of one row's part of an archive."""

LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class SkillVersion:
    """`number` is its age in microseconds since the epoch, by which older clients know it; `created_at` is in seconds,
    by the database's clock. `name` is that of its skill."""

    id: str
    skill_id: str
    number: int
    name: str
    description: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Skill:
    """`latest` is the id and the number of its newest version; None if all of them were deleted."""

    id: str
    owner: str
    name: str
    display_name: str
    created_at: float
    updated_at: float
    latest: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class SkillUpload:
    """A version that is still to be stored. `archive` is a zip with one top folder, `name`."""

    name: str
    description: str
    archive: bytes


class SkillStore:
    """`owner` narrows a call to what one token's holder may use: their own, and what is shared. None: everything.

    A deleted skill or version is not found any more; a session that was made with it before keeps it."""

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._most = limits.objects_per_owner

    def add(
        self,
        skill_id: str,
        version_id: str,
        upload: SkillUpload,
        display_name: str,
        *,
        owner: str,
        shared: bool,
    ) -> Skill:
        with self._database.writing() as connection:
            values = {"name": upload.name, "display_name": display_name}
            add(connection, skills, skill_id, owner, shared=shared, most=self._most, **values)
            _add_version(connection, skill_id, version_id, upload)
            return _skill(connection, skill_id, None)

    def get(self, skill_id: str, *, owner: str | None) -> Skill:
        """NotFound."""
        with self._database.reading() as connection:
            return _skill(connection, skill_id, owner)

    def page(self, window: Window, *, owner: str | None) -> Sequence[Skill]:
        """Newest first, with one more than the limit."""
        with self._database.reading() as connection:
            return [_as_skill(row) for row in connection.execute(within(_skills(owner), skills, window))]

    def delete(self, skill_id: str, *, owner: str | None) -> None:
        """InvalidRequest while it has versions."""
        with self._database.writing() as connection:
            lock(connection, skills, skill_id)
            found = _skill(connection, skill_id, owner)
            require_own(found, owner)
            if found.latest is not None:
                raise InvalidRequest(f"{skill_id} has versions; delete them first")
            archive(connection, skills, skill_id)
        self.prune()

    def add_version(
        self, skill_id: str, version_id: str, upload: SkillUpload, *, owner: str | None
    ) -> SkillVersion:
        """InvalidRequest for one with another name than its skill."""
        with self._database.writing() as connection:
            lock(connection, skills, skill_id)
            found = _skill(connection, skill_id, owner)
            require_own(found, owner)
            if upload.name != found.name:
                raise InvalidRequest(
                    f"SKILL.md: the name of this skill is {found.name}, and can't be changed"
                )
            _add_version(connection, skill_id, version_id, upload)
            connection.execute(update(skills).where(skills.c.id == skill_id).values(updated_at=now()))
            return _version(connection, skill_id, version_id, owner)

    def versions(self, skill_id: str, window: Window, *, owner: str | None) -> Sequence[SkillVersion]:
        """Newest first, with one more than the limit. The window's place names a version's number."""
        with self._database.reading() as connection:
            _skill(connection, skill_id, owner)
            query = _versions(owner).where(skill_versions.c.skill_id == skill_id)
            if window.after is not None:
                query = query.where(skill_versions.c.number < int(window.after[0]))
            query = query.order_by(skill_versions.c.number.desc()).limit(window.limit + 1)
            return [_as_version(row) for row in connection.execute(query)]

    def version(self, skill_id: str, wanted: str, *, owner: str | None) -> SkillVersion:
        """By its id, its number, or as the latest one. NotFound."""
        with self._database.reading() as connection:
            return _version(connection, skill_id, wanted, owner)

    def delete_version(self, skill_id: str, wanted: str, *, owner: str | None) -> SkillVersion:
        with self._database.writing() as connection:
            lock(connection, skills, skill_id)
            require_own(_skill(connection, skill_id, owner), owner)
            found = _version(connection, skill_id, wanted, owner)
            archive(connection, skill_versions, found.id)
            connection.execute(update(skills).where(skills.c.id == skill_id).values(updated_at=now()))
        self.prune()
        return found

    def archive_of(self, version_id: str) -> bytes:
        """Empty if it is not there any more."""
        query = (
            select(skill_archives.c.data)
            .where(skill_archives.c.version_id == version_id)
            .order_by(skill_archives.c.part)
        )
        with self._database.reading() as connection:
            return b"".join(connection.execute(query).scalars())

    def prune(self) -> int:
        """Drops deleted versions and skills that no session has any more. Returns the number of versions."""
        dropped = self._drop(skill_versions, session_skills.c.version_id)
        self._drop(skills, skill_versions.c.skill_id)
        return dropped

    def _drop(self, table: Table, user: Column[Any]) -> int:
        """The deleted rows of a table that no `user` names."""
        with self._database.reading() as connection:
            deleted = connection.execute(select(table.c.id).where(table.c.archived_at.is_not(None))).scalars()
            unused = [
                row_id
                for row_id in deleted.all()
                if connection.execute(select(user).where(user == row_id).limit(1)).first() is None
            ]
        for row_id in unused:
            with self._database.writing() as connection:
                connection.execute(delete(table).where(table.c.id == row_id))
        return len(unused)


def keep_skills(connection: Connection, session_id: str, version_ids: Sequence[str]) -> None:
    """Notes which versions a new session has. InvalidRequest for one that was deleted meanwhile."""
    for version_id in version_ids:
        there = select(skill_versions.c.id).where(
            skill_versions.c.id == version_id, skill_versions.c.archived_at.is_(None)
        )
        if connection.execute(there.with_for_update(read=True)).first() is None:
            raise InvalidRequest(f"agent.skills: the version {version_id} was deleted")
        connection.execute(insert(session_skills).values(session_id=session_id, version_id=version_id))


_NEWEST: Final = skill_versions.alias("newest")


def _latest(column: ColumnElement[Any]) -> Any:
    """A column of a skill's newest version."""
    return (
        select(column)
        .where(_NEWEST.c.skill_id == skills.c.id, _NEWEST.c.archived_at.is_(None))
        .order_by(_NEWEST.c.number.desc())
        .limit(1)
        .correlate(skills)
        .scalar_subquery()
    )


def _skills(owner: str | None) -> Select[Any]:
    latest = (_latest(_NEWEST.c.id).label("latest_id"), _latest(_NEWEST.c.number).label("latest_number"))
    return select(skills, *latest).where(usable(skills, owner), skills.c.archived_at.is_(None))


def _skill(connection: Connection, skill_id: str, owner: str | None) -> Skill:
    row = connection.execute(_skills(owner).where(skills.c.id == skill_id)).first()
    if row is None:
        raise NotFound("Skill not found.")
    return _as_skill(row)


def _as_skill(row: Any) -> Skill:
    latest = None if row.latest_id is None else (row.latest_id, row.latest_number)
    return Skill(row.id, row.owner, row.name, row.display_name, row.created_at, row.updated_at, latest)


def _versions(owner: str | None) -> Select[Any]:
    joined = skill_versions.join(skills, skills.c.id == skill_versions.c.skill_id)
    return (
        select(skill_versions, skills.c.name)
        .select_from(joined)
        .where(usable(skills, owner), skill_versions.c.archived_at.is_(None))
    )


def _version(connection: Connection, skill_id: str, wanted: str, owner: str | None) -> SkillVersion:
    query = _versions(owner).where(skill_versions.c.skill_id == skill_id)
    if wanted == LATEST:
        query = query.order_by(skill_versions.c.number.desc()).limit(1)
    elif wanted.isdecimal():
        query = query.where(skill_versions.c.number == int(wanted))
    else:
        query = query.where(skill_versions.c.id == wanted)
    if (row := connection.execute(query).first()) is None:
        _skill(connection, skill_id, owner)
        raise NotFound("Skill version not found.")
    return _as_version(row)


def _as_version(row: Any) -> SkillVersion:
    return SkillVersion(row.id, row.skill_id, row.number, row.name, row.description, row.created_at)


def _add_version(connection: Connection, skill_id: str, version_id: str, upload: SkillUpload) -> None:
    newest = select(skill_versions.c.number).where(skill_versions.c.skill_id == skill_id)
    last = connection.execute(newest.order_by(skill_versions.c.number.desc()).limit(1)).scalar() or 0
    number = max(int(connection.execute(select(now())).scalar_one() * 1_000_000), last + 1)
    connection.execute(
        insert(skill_versions).values(
            id=version_id,
            skill_id=skill_id,
            number=number,
            description=upload.description,
            created_at=now(),
        )
    )
    parts = [
        {"version_id": version_id, "part": part, "data": upload.archive[start : start + PART_BYTES]}
        for part, start in enumerate(range(0, len(upload.archive), PART_BYTES))
    ]
    connection.execute(insert(skill_archives), parts)
