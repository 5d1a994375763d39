"""The files of a session in its directory: what is mounted is put there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from app.agent.tools.placed_files import PlacedFiles
from app.agent.tools.sandbox import Entry, FileRefused
from app.agent.tools.session_places import UPLOADS
from app.conversation.session import Session
from app.errors import NotFound
from app.managed.places import relative
from app.roots import Roots
from app.store.store import Store

log = logging.getLogger(__name__)

MOST_LOOKED_AT: Final = 20_000
_SAME: Final = 1e-3  # seconds between two times that are one
_BILLION: Final = 1_000_000_000


class SessionFiles:
    """Any thread may call it. What can't be written is logged, and tried again when the next run begins."""

    def __init__(self, store: Store, roots: Roots) -> None:
        self._store = store
        self._roots = roots

    def prepare(self, session: Session) -> None:
        """Before a run: the session's directory has what is mounted, also on a machine where it was not before.
        StoreUnavailable."""
        directory = Path(session.working_dir)
        if not directory.exists() and self._allows(session, directory):
            try:
                directory.mkdir(parents=True, mode=0o700)
            except OSError as error:
                log.warning("the directory of session %s can't be made: %s", session.id, error)
                return
        self.mount(session)

    def mount(self, session: Session) -> None:
        """Makes what lies in `uploads/` what is mounted, if the session's directory is on this machine: what somebody
        has changed there is put right, and what nobody has mounted is removed. StoreUnavailable."""
        directory = Path(session.working_dir)
        mounted = self._store.resources.mounted(session.id)
        if not (mounted or (directory / UPLOADS).exists()) or not directory.is_dir():
            return
        files = self.files_of(session)
        if (directory / UPLOADS).is_symlink():
            with _logged(session):
                files.remove(UPLOADS)
        wanted = {relative(one.mount_path) or one.mount_path: one for one in mounted}
        there: dict[str, float] = {}
        for path, entry in islice(_below(files, UPLOADS), MOST_LOOKED_AT):
            if entry.is_file and path in wanted:
                there[path] = entry.changed
            elif not entry.is_directory:
                with _logged(session):
                    files.remove(path)
        for path, one in wanted.items():
            if abs(there.get(path, 0.0) - one.mounted_at) > _SAME:
                with _logged(session):
                    pieces = self._store.files.pieces(one.content_id)
                    files.place(path, pieces, changed=int(one.mounted_at * _BILLION))

    def files_of(self, session: Session) -> PlacedFiles:
        return PlacedFiles.on(self._roots.of(session.owner), Path(session.working_dir))

    def _allows(self, session: Session, directory: Path) -> bool:
        return self._roots.of(session.owner).allows(directory.resolve())


def _below(files: PlacedFiles, path: str) -> Iterator[tuple[str, Entry]]:
    """Everything below a directory. Links are not followed."""
    try:
        entries = files.entries(path, dated=True)[1]
    except FileRefused:
        return
    for entry in entries:
        inner = f"{path}/{entry.name}"
        yield inner, entry
        if entry.is_directory:
            yield from _below(files, inner)


@contextmanager
def _logged(session: Session) -> Iterator[None]:
    """One file that can't be written keeps no other from its place."""
    try:
        yield
    except (FileRefused, NotFound) as error:
        log.warning("a file of session %s is not in its place: %s", session.id, error)
