"""A database that Baton can keep its promises with."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from app.distribution import install_command
from app.errors import StoreUnavailable
from app.selfcheck.finding import Finding
from app.selfcheck.own_files import database_path
from app.selfcheck.path_check import why_not_writable
from app.settings import Settings
from app.store.engine import CONNECTIONS, OWN_CONNECTIONS, Database
from app.store.migrate import NEWEST, is_newer, revision
from app.store.postgresql_rights import inspect

DATABASE: Final = "BATON_DATABASE_URL"

OLDEST_SQLITE: Final = (3, 35, 0)
"""The first whose UPDATE answers with the rows that it changed: by these a run learns that it still has its session."""

NETWORK: Final = frozenset(
    {
        *(
            "afs",
            "ceph",
            "cifs",
            "gfs2",
            "glusterfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
            "ocfs2",
            "smb3",
            "smbfs",
        ),
        *("fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""File systems whose locks and shared memory do not hold between machines as SQLite's log needs them."""


def check_sqlite(settings: Settings, mounts: Path = Path("/proc/self/mountinfo")) -> list[Finding]:
    path = database_path(settings)
    if path is None:
        return []
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        problem = f"SQLite {sqlite3.sqlite_version} is too old, it must be 3.35 or newer"
        return [_failed(problem, "use a Python that was built with a newer one, or PostgreSQL")]
    if why := why_not_writable(path.parent):
        problem = f"SQLite can't make files in {path.parent} ({why})"
        return [_failed(problem, "let this user write there, or name another place")]
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    if locked := [file for file in files if file.exists() and not os.access(file, os.R_OK | os.W_OK)]:
        return [_failed(f"{locked[0]} can't be written", "give it to the user that runs the server")]
    kind = file_system(path.parent.resolve(), mounts)
    if kind in NETWORK:
        problem = f"{path} is on a network file system ({kind}), where SQLite's locks do not hold"
        return [_failed(problem, "put it on a local disk, or use PostgreSQL")]
    return []


def file_system(directory: Path, mounts: Path) -> str:
    """Its type, as the kernel calls it; empty if that can't be read."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    found: tuple[int, str] = (-1, "")
    for line in lines:
        before, _, after = line.partition(" - ")
        place = Path(_unescaped(before.split()[4]))
        if directory.is_relative_to(place) and len(place.parts) >= found[0]:  # a later mount hides an earlier
            found = (len(place.parts), after.split()[0])
    return found[1]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def check_postgresql(settings: Settings) -> list[Finding]:
    if database_path(settings) is not None:
        return []
    try:
        database = Database(settings.database_url, connections=2)
    except (ImportError, ValueError) as error:
        return [_failed(f"PostgreSQL can't be used ({error})", install_command("postgres"))]
    try:
        seen = inspect(database)
    except StoreUnavailable as error:
        cause = error.__cause__ or error
        words = str(getattr(cause, "orig", cause)).strip().splitlines()[0]
        return [_failed(f"the database can't be used ({words})", "start it, or correct the address")]
    finally:
        database.close()
    findings = [_failed(problem, remedy) for problem, remedy in seen.obstacles()]
    wanted = settings.workers * (CONNECTIONS + OWN_CONNECTIONS)
    if seen.connections < wanted:
        problem = f"{seen.connections} connections are too few for {settings.workers} workers"
        remedy = f"allow {wanted} (max_connections, or the role's own limit), or lower BATON_WORKERS"
        findings.append(Finding("warning", DATABASE, problem, remedy))
    if not seen.hints_arrive:
        problem = "LISTEN and NOTIFY do not get through, so other processes are answered more slowly"
        remedy = "connect directly, or let the pooler keep a session per connection (pool_mode = session)"
        findings.append(Finding("warning", DATABASE, problem, remedy))
    return findings


def check_schema(settings: Settings) -> list[Finding]:
    """A database that can't be asked is reported by the other checks, or by the first worker."""
    path = database_path(settings)
    if path is not None and not path.exists():
        return []
    try:
        with closing(Database(settings.database_url, connections=1)) as database:
            found = revision(database)
    except (ImportError, ValueError, StoreUnavailable):
        return []
    if not is_newer(found):
        return []
    problem = f"its schema is {found}, made by a newer version; this one knows {NEWEST}"
    return [_failed(problem, "start that version, or bring back the backup from before the upgrade")]


def _failed(problem: str, remedy: str) -> Finding:
    return Finding("failed", DATABASE, problem, remedy)
