"""A process that dies in the middle of a sync: the next one loses nothing, and makes nothing up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.agent.tools.mirrored_files import MirroredFiles
from app.conversation.session import Session
from app.errors import StoreUnavailable
from app.factory import Server
from app.managed.memory.mounted_memory import MountedStore
from app.managed_ids import new_id
from app.store.memory_history import VersionFilter
from app.store.memory_mounts import add_mounts
from app.store.memory_rows import Actor

ANN = Actor(key="ann")


class Place:
    """A session's directory with one memory store in it."""

    def __init__(self, server: Server, root: Path, session: str) -> None:
        self.store = server.store
        self.root = root
        self.session = session
        self.store_id = self.store.memory_stores.add(new_id("memstore"), {"metadata": {}}, owner="").id
        self.store.sessions.create(Session(id=session))
        with self.store.database.writing() as connection:
            add_mounts(connection, session, [self.store_id])

    def mounted(self) -> MountedStore:
        """As a new process mounts it."""
        kept: Any = {"memory_store_id": self.store_id, "access": "read_write", "slug": "s"}
        return MountedStore(self.store.memory_mounts, self.session, kept, MirroredFiles(self.root))

    def file(self, name: str) -> Path:
        return self.root / "memory" / "s" / name

    def versions(self) -> list[tuple[str, str | None, str | None]]:
        found = self.store.memory_history.page(
            self.store_id, VersionFilter(limit=99, content=True), owner=None
        )
        return [(one.operation, one.path, one.content) for one in reversed(found)]


@pytest.mark.parametrize("dies_in", ["_put", "_take_away", "keep", "write"])
def test_a_sync_that_was_cut_off_is_done_again(
    laptop: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """At each step behind the transaction that has taken the session's changes over."""
    place = Place(laptop, tmp_path.resolve(), f"sync-{dies_in}")
    store, owner = place.store, {"owner": None}
    made = {
        name: store.memories.create(place.store_id, f"/{name}", "old", by=ANN, **owner)
        for name in ("theirs", "gone", "mine", "both")
    }
    place.mounted().open()
    assert place.file("theirs").read_text() == "old"
    place.file("mine").write_text("new")
    place.file("added").write_text("added")
    place.file("both").write_text("of the session")
    change: Any = {"path": None, "expected": None, "by": ANN, **owner}
    store.memories.change(place.store_id, made["theirs"].id, content="changed", **change)
    store.memories.change(place.store_id, made["both"].id, content="of somebody else", **change)
    store.memories.delete(place.store_id, made["gone"].id, expected=None, by=ANN, **owner)
    if dies_in == "write":  # of the directory's mark: it is another one than the baseline's
        (tmp_path / "memory" / ".s").write_text("another")
        place.file("mine").write_text("old")
        place.file("added").unlink()

    def die(*_: object, **__: object) -> None:
        raise StoreUnavailable()

    target: Any = {"keep": store.memory_mounts, "write": MirroredFiles}.get(dies_in, MountedStore)
    with monkeypatch.context() as patched:
        patched.setattr(target, dies_in, die)
        with pytest.raises(StoreUnavailable):
            place.mounted().open()
    told = place.versions()
    place.mounted().open()
    assert place.versions() == told, "what was taken over is not taken over again"
    assert place.file("theirs").read_text() == "changed"
    assert not place.file("gone").exists()
    assert place.file("both").read_text() == "of somebody else"
    new = [
        ("created", "/added", "added"),
        ("created", "/both.conflict", "of the session"),
        ("modified", "/mine", "new"),
    ]
    assert told[7:] == ([] if dies_in == "write" else new)
    again = place.mounted()
    again.open()
    assert again.settle() == []
    assert place.versions() == told
