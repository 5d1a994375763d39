"""The files of a session in its directory: what is mounted is put there, what it has written becomes a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

from app.agent.tools.git_clone import Checkout, CloneFailed, clone
from app.agent.tools.placed_files import Found, PlacedFiles
from app.agent.tools.sandbox import Entry, FileRefused, visible
from app.agent.tools.session_places import OUTPUTS, UPLOADS
from app.conversation.managed_events import clone_error
from app.conversation.session import Session
from app.errors import AppError, InvalidRequest, NotFound
from app.managed.files.uploads import type_of
from app.managed.places import relative
from app.managed.vaults.secret_box import SecretBox, SecretsUnreadable
from app.managed_ids import new_id
from app.roots import Roots
from app.runtime.own_directories import CLONING
from app.store.file_store import CHUNK, FileFacts, StoredFile
from app.store.store import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]

MOST_LOOKED_AT: Final = 20_000
MOST_OUTPUTS: Final = 1_000
CLONE_SECONDS: Final = 120.0
"""For all repositories of a session together: its run waits meanwhile."""

_SAME: Final = 1e-3  # seconds between two times that are one
_BILLION: Final = 1_000_000_000


class SessionFiles:
    """Any thread may call it. What can't be written is logged, and tried again when the next run begins."""

    def __init__(
        self, store: Store, roots: Roots, box: SecretBox, *, most_bytes: int, environment: Mapping[str, str]
    ) -> None:
        """`box`: of tokens of repositories. `most_bytes` of one file that a session has written. `environment`: the
        server's."""
        self._box = box
        self._environment = environment
        self._store = store
        self._roots = roots
        self._most = most_bytes

    def prepare(self, session: Session) -> Sequence[Json]:
        """Before a run: the session's directory has what is mounted, also on a machine where it was not before. Returns
        the errors, as clients are told them, of what could not be cloned. StoreUnavailable."""
        directory = Path(session.working_dir)
        if not directory.exists() and self._allows(session, directory):
            try:
                directory.mkdir(parents=True, mode=0o700)
            except OSError as error:
                log.warning("the directory of session %s can't be made: %s", session.id, error)
                return ()
        self.mount(session)
        self.capture(session)  # what a run has left whose process died
        return [*self._clone(session)]

    def _clone(self, session: Session) -> Iterator[Json]:
        """Clones the repositories that are not there; and does so beside the session's directory, where no command of
        the session meddles."""
        files, directory = self.files_of(session), Path(session.working_dir)
        end = time.monotonic() + CLONE_SECONDS
        for resource in self._store.resources.repositories(session.id):
            path, url = relative(resource.mount_path) or "", resource.settings["url"]
            try:
                if files.exists(path):
                    continue
            except FileRefused as refused:
                if refused.is_more_than_absent:
                    yield clone_error("clone", url, str(refused))
                    continue
            given = resource.settings["checkout"] or {}
            checkout = Checkout(given.get("name", ""), given.get("sha", "")) if given else None
            try:
                token = self._token(resource.id)
                with TemporaryDirectory(prefix=CLONING, dir=directory.parent) as beside:
                    left = end - time.monotonic()
                    into = Path(beside, "clone")
                    clone(url, checkout, into, self._environment, seconds=left, token=token)
                    files.place_directory(path, into)
            except CloneFailed as failed:
                yield clone_error(failed.kind, url, str(failed))
            except SecretsUnreadable as lost:
                yield clone_error("authentication", url, str(lost))
            except (FileRefused, OSError) as error:
                yield clone_error("clone", url, str(error))

    def _token(self, resource_id: str) -> str:
        """Empty for a public repository. SecretsUnreadable."""
        sealed = self._store.resources.token(resource_id)
        return "" if sealed is None else self._box.open(resource_id, sealed)["token"]

    def mount(self, session: Session) -> None:
        """Puts what is mounted into `uploads/`, if the session's directory is on this machine, and puts right what
        somebody has changed. What a session has written there itself stays. StoreUnavailable."""
        directory, mounted = Path(session.working_dir), self._store.resources.mounted(session.id)
        if not mounted or not directory.is_dir():
            return
        files = self.files_of(session)
        if (directory / UPLOADS).is_symlink():
            with _logged(session):
                files.remove_file(UPLOADS)
        there = {
            path: entry.changed
            for path, entry in islice(_below(files, UPLOADS), MOST_LOOKED_AT)
            if entry.is_file
        }
        for one in mounted:
            path = relative(one.mount_path) or one.mount_path
            if abs(there.get(path, 0.0) - one.mounted_at) > _SAME:
                with _logged(session):
                    pieces = self._store.files.pieces(one.content_id)
                    files.place(path, pieces, changed=int(one.mounted_at * _BILLION))

    def unmount(self, session: Session, mount_path: str) -> None:
        """Takes a file away, if it is on this machine."""
        files, path = self.files_of(session), relative(mount_path) or mount_path
        with _logged(session):
            if Path(session.working_dir).is_dir() and files.exists(path):
                files.remove_file(path)

    def capture(self, session: Session) -> None:
        """Makes a file of whatever lies below `outputs/` and has changed since the last time; the one before of that
        path goes. No link is followed. StoreUnavailable; what else goes wrong is logged, and tried again the next time.
        """
        if not (Path(session.working_dir) / OUTPUTS).is_dir():
            return
        files = self.files_of(session)
        known: dict[str, StoredFile] = {}
        for one in self._store.files.outputs(session.id):
            known.setdefault(one.output_path or "", one)
        for path, entry in islice(_below(files, OUTPUTS), MOST_LOOKED_AT):
            if not entry.is_file:
                continue
            name = visible(path)
            before = known.get(name)
            if before is None and len(known) >= MOST_OUTPUTS:
                log.warning("session %s has written more than %d files", session.id, MOST_OUTPUTS)
                return
            try:
                with files.opened(path) as (found, file):
                    if before is None or (found.size, found.changed) != (
                        before.size_bytes,
                        before.output_changed,
                    ):
                        known[name] = self._captured(session, found, file, name, before)
            except (FileRefused, InvalidRequest) as error:
                log.warning("a file that session %s has written is left out: %s", session.id, error)
            except NotFound:
                return  # the session is deleted

    def _captured(
        self, session: Session, found: Found, file: BinaryIO, path: str, before: StoredFile | None
    ) -> StoredFile:
        """InvalidRequest for a file that is too long, or for which the owner has no room."""
        if found.size > self._most:
            raise InvalidRequest(f"{path} has {found.size:,} bytes of at most {self._most:,}")
        left = range(0, self._most, CHUNK)  # another process may write on and on
        pieces = takewhile(bool, (file.read(CHUNK) for _ in left))
        content = self._store.files.keep(pieces, owner=session.owner)
        name = path.rpartition("/")[2]
        facts = FileFacts(
            new_id("file"),
            session.owner,
            name,
            type_of("", name),
            downloadable=True,
            session_id=session.id,
            output_path=path,
            output_changed=found.changed,
        )
        try:
            return self._store.resources.add_output(content, facts, instead_of=before.id if before else None)
        except AppError:
            self._store.files.forget(content)
            raise

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
