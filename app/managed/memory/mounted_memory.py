"""Memory stores as files in the directory of a session, for the time of a run."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.agent.tools.mirrored_files import Looked, MirroredFiles, Stamp
from app.agent.tools.sandbox import FileRefused, visible
from app.agent.tools.working_copies import NO_COPIES, WorkingCopies
from app.conversation.session import Session
from app.errors import AppError, InvalidRequest, NotFound
from app.managed.memory.attached_stores import FOLDER, attached_to, folder_of
from app.managed.memory.memory_bodies import MOST_BYTES, content_fault, path_fault
from app.managed_ids import number_in
from app.roots import Ground
from app.runtime.patience import Patience
from app.store.memory_mounts import Baseline, LocalFile, MemoryMounts, Synced
from app.store.store import Store

log = logging.getLogger(__name__)

_MARK_BYTES: Final = 64


class MemoryMounter:
    """Any thread may call it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, key: str, session: Session, ground: Ground, patience: Patience) -> WorkingCopies:
        """The memory stores of the session whose team has this key. A task of the session has the same ones."""
        number = number_in("sesn", key)
        found = None if number is None else patience(self._store.managed.settings, str(number))
        stores = [] if found is None else attached_to(found[0])
        if not stores or not session.working_dir:
            return NO_COPIES
        files = MirroredFiles.on(ground, Path(session.working_dir))
        mounts = self._store.memory_mounts
        mounted = [MountedStore(mounts, str(number), kept, files) for kept in stores]
        return MountedMemory(mounted, files, patience)


class MountedMemory:
    """All memory stores of a session."""

    def __init__(self, stores: Sequence[MountedStore], files: MirroredFiles, patience: Patience) -> None:
        self._stores = stores
        self._patience = patience
        self._turn = threading.Lock()
        self._words: list[str] = []
        root = files.root.resolve()
        self.read_only = tuple(root / one.folder for one in stores if one.is_read_only)

    def open(self) -> None:
        with self._turn:
            for one in self._stores:
                self._words += self._patience(one.open)

    def settle(self) -> str:
        with self._turn:
            words, self._words = self._words, []
            for one in self._stores:
                try:
                    words += one.settle()
                except AppError:
                    log.warning("memory store %s was not synced", one.store_id, exc_info=True)
        return "\n".join(words)


class MountedStore:
    """One of them. One thread at a time."""

    def __init__(
        self, mounts: MemoryMounts, session_id: str, kept: Mapping[str, Any], files: MirroredFiles
    ) -> None:
        self.store_id: Final = str(kept["memory_store_id"])
        self.folder: Final = folder_of(kept)
        self.is_read_only: Final = kept["access"] == "read_only"
        self._mark_file = f"{FOLDER}/.{kept['slug']}"
        self._mounts = mounts
        self._session_id = session_id
        self._files = files
        self._known: dict[str, Looked] = {}
        self._base = Baseline()
        self._is_open = False
        self._told: dict[str, Stamp] = {}  # files that can't be kept, which the model knows

    def open(self) -> list[str]:
        """Once for each run; what an earlier one has left behind is taken over first. The words are for the model."""
        if self._is_open:
            return []
        self._base = self._mounts.baseline(self._session_id, self.store_id)
        words = self._synced(changed_only=False)
        self._is_open = True
        return words

    def settle(self) -> list[str]:
        """Asks the database nothing if no file has changed."""
        return self._synced(changed_only=True) if self._is_open else []

    def _synced(self, *, changed_only: bool) -> list[str]:
        try:
            found = self._look()
            if changed_only and found is not None and not self._differs(found):
                return []
            return self._sync(found)
        except FileRefused as refusal:
            return [f"{self.folder}/ is not kept in the memory store: {refusal}"]
        except NotFound:
            return [f"The memory store of {self.folder}/ is gone: nothing there is kept."]

    def _look(self) -> dict[str, Looked] | None:
        agreed = {path: sha256 for path, (_, sha256) in self._base.files.items()}
        found = self._files.look(self.folder, self._known, agreed, limit=MOST_BYTES)
        self._known = found or {}
        return found

    def _differs(self, found: Mapping[str, Looked]) -> bool:
        if self._base.files.keys() - found.keys():
            return True
        return any(
            self._told.get(path) != one.stamp
            for path, one in found.items()
            if path not in self._base.files or self._base.files[path][1] != one.sha256
        )

    def _sync(self, found: Mapping[str, Looked] | None) -> list[str]:
        mark = "" if found is None else self._base.mark if self._is_open else self._mark()
        wiped = self._is_open if found is None else not found and len(self._base.files) > 1
        local = {path: _local(path, one) for path, one in (found or {}).items()}
        synced = self._merged(mark, local, deletes=not wiped)
        self._apply(synced, found or {})
        words = [f"{self.folder}{visible(path)} {text}" for path, text in self._news(synced, found or {})]
        if wiped and synced.write:
            words.append(
                f"{self.folder}/: all files were gone at once, and are back. Remove them one by one."
            )
        return words

    def _merged(self, mark: str, local: Mapping[str, LocalFile], *, deletes: bool) -> Synced:
        def merge(*, writes: bool) -> Synced:
            here = (self._session_id, self.store_id)
            return self._mounts.sync(*here, mark, local, writes=writes, deletes=deletes)

        try:
            return merge(writes=not self.is_read_only)
        except InvalidRequest:  # it was archived meanwhile
            return merge(writes=False)

    def _apply(self, synced: Synced, found: Mapping[str, Looked]) -> None:
        """A file that is changed at this moment stays as it is until the next time. A process that dies before the new
        baseline is kept leaves files that are the same as their memories, as the next sync sees."""
        agreed, mark = dict(synced.agreed.files), synced.agreed.mark
        if not mark:
            self._files.make_directories(self.folder)
        for path in synced.remove:
            if self._take_away(path, found[path].stamp):
                agreed.pop(path, None)
        for path, (version_id, sha256, content) in synced.write.items():
            if self._put(path, content, found[path].stamp if path in found else None):
                agreed[path] = version_id, sha256
        if not mark:
            mark = uuid.uuid4().hex
            self._files.write(self._mark_file, mark.encode())
        self._base = Baseline(mark, agreed)
        if self._base != synced.agreed:
            self._mounts.keep(self._session_id, self.store_id, self._base)

    def _put(self, path: str, content: str, before: Stamp | None) -> bool:
        try:
            return self._files.put(self.folder + path, content.encode(), unless_changed=before)
        except FileRefused:
            log.info("memory %s of %s can't be a file here", path, self.store_id, exc_info=True)
            return False

    def _take_away(self, path: str, before: Stamp) -> bool:
        try:
            return self._files.take_away(self.folder + path, unless_changed=before)
        except FileRefused:
            log.info("file %s of %s can't be removed", path, self.store_id, exc_info=True)
            return False

    def _news(self, synced: Synced, found: Mapping[str, Looked]) -> Iterator[tuple[str, str]]:
        """Words about files that the model was not told before."""
        for path, words in synced.words:
            if path not in found or self._told.get(path) != found[path].stamp:
                yield path, words
            if path in found:
                self._told[path] = found[path].stamp

    def _mark(self) -> str:
        """The name of the directory as it was mounted; empty if it was not."""
        try:
            return self._files.read(self._mark_file, _MARK_BYTES).data.decode("ascii", "replace")
        except FileRefused:
            return ""


def _local(path: str, looked: Looked) -> LocalFile:
    if fault := _name_fault(path):
        return LocalFile(looked.sha256, fault=fault)
    if not looked.sha256:
        return LocalFile("", fault=f"it has {looked.stamp[1]} bytes, and at most {MOST_BYTES} are allowed")
    if looked.data is None:
        return LocalFile(looked.sha256)
    try:
        content = looked.data.decode()
    except UnicodeDecodeError:
        return LocalFile(looked.sha256, fault="it is no UTF-8 text")
    return LocalFile(looked.sha256, content, content_fault(content))


def _name_fault(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8 text"
    fault = path_fault(path)
    return f"its path {fault}" if fault else ""
