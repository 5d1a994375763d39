"""The directories of sessions, each of which is a session's environment."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from app.errors import InvalidRequest, NotFound
from app.managed.teams import key_of
from app.managed_ids import number_in
from app.roots import NAME, Ground, Roots
from app.runtime.own_directories import CLONING, mark_beside, own_directory, remove
from app.store.store import Store

log = logging.getLogger(__name__)

FOLDER: Final = "environments"
SWEEP_SECONDS: Final = 3600.0
KEEP_SECONDS: Final = 3600.0
"""Age at which a directory without a session is one that a crash has left behind."""

_MARK: Final = re.compile(r"\.(sesn_\w+)\.(agent_\w+)")
_CLOCK: Final = ".swept"


class Directories:
    """Any thread may call it. Beside each directory lies an empty file with the names of its session and of the
    session's agent. Servers may share their roots and not their database: each removes only the directories of agents
    that it knows."""

    def __init__(self, store: Store, roots: Roots, *, host: str) -> None:
        self._store = store
        self._roots = roots
        self._host = host

    def make(self, session_id: str, agent_id: str, *, owner: str) -> Path:
        """InvalidRequest if there is no place for it."""
        roots = self._roots.of(owner).roots
        if not roots:
            raise InvalidRequest(
                "environment_id: this server has no directory where environments can be made"
            )
        directory = roots[0] / FOLDER / key_of(session_id)
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark_beside(directory, agent_id).touch(mode=0o600)
        directory.mkdir(mode=0o700)
        return directory

    def remove(self, session_id: str, working_dir: str, *, owner: str) -> None:
        """The directory of a deleted session; not one in which a fork of the session still works."""
        ground = self._roots.of(owner)
        if (directory := own_directory(session_id, working_dir, ground)) is not None:
            self._remove(directory, ground)

    def sweep(self) -> None:
        """Removes what a crash has left behind, or a session's end at the other door. One process of each machine does
        so at a time."""
        if not self._store.jobs.take(f"sweep environments {self._host}", period=SWEEP_SECONDS):
            return
        for folder in self._folders():
            (folder / _CLOCK).touch(mode=0o600)
            old = [*self._old(folder)]
            for clone in (one for one in old if one.name.startswith(CLONING)):
                shutil.rmtree(clone, ignore_errors=True)  # a clone takes minutes at most
            for mark, session, agent in self._marks(old):
                number = number_in("sesn", session)
                if (
                    number is None
                    or not self._store.sessions.missing([str(number)])
                    or not self._knows(agent)
                ):
                    continue
                directory = folder / session
                if self._remove(directory, Ground((folder.parent.resolve(),), self._roots.own)):
                    log.info("%s was removed: its session is gone", directory)
                    mark.unlink(missing_ok=True)

    def _folders(self) -> Iterator[Path]:
        for pattern in self._roots.patterns[:1]:
            place = Path(*pattern.parts[1:], FOLDER)
            found = Path(pattern.anchor).glob(str(place).replace(NAME, "*"))
            yield from sorted(one for one in found if one.is_dir())

    def _old(self, folder: Path) -> Iterator[Path]:
        """By the clock of the disk. A session may be made or deleted meanwhile."""
        now = (folder / _CLOCK).stat().st_mtime
        for entry in sorted(folder.iterdir()):
            try:
                age = now - entry.lstat().st_mtime
            except FileNotFoundError:
                continue
            if age >= KEEP_SECONDS:
                yield entry

    def _marks(self, entries: Iterable[Path]) -> Iterator[tuple[Path, str, str]]:
        for entry in entries:
            if found := _MARK.fullmatch(entry.name):
                yield entry, found[1], found[2]

    def _knows(self, agent_id: str) -> bool:
        try:
            self._store.agents.get(agent_id, owner=None)
        except NotFound:
            return False
        return True

    def _remove(self, directory: Path, ground: Ground) -> bool:
        """Says whether it is gone now. A link to elsewhere stays, and what lies there."""
        real = directory.parent.resolve() / directory.name
        if directory.resolve() != real or not ground.allows(real):
            return False
        if self._store.environments.is_used(str(directory)):
            return False
        return remove(directory)
