"""Makes resources of what requests ask for, and shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from app.door_ids import new_id
from app.managed.files.resource_bodies import FileResource
from app.managed.given_ids import checked
from app.managed.places import file_mount, refuse_overlap, relative
from app.managed.policies import Policies
from app.managed.times import moment
from app.store.file_store import Content, FileFacts, FileStore
from app.store.resource_store import NewResource, Resource

Json = dict[str, Any]

_WRITING: Final = frozenset({"bash", "write"})


class Mounts:
    """Any thread may call it."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def new(
        self, given: Sequence[FileResource], *, session_id: str, session_owner: str, owner: str | None
    ) -> list[NewResource]:
        """Resources of a session, each file a copy of the session's own. `owner`: of the caller, whose files may be
        mounted. InvalidRequest, NotFound."""
        made: list[NewResource] = []
        for one in given:
            path = file_mount(one.mount_path, one.file_id)
            refuse_overlap(path, [other.mount_path for other in made], "file")
            found = self._files.get(checked("file", one.file_id), owner=owner)
            facts = FileFacts(
                new_id("file"),
                session_owner,
                found.filename,
                found.mime_type,
                downloadable=found.downloadable,
                session_id=session_id,
            )
            content = Content(found.content_id, found.size_bytes)
            made.append(NewResource(new_id("sesrsc"), path, {"type": "file"}, content, facts))
        return made


def resource_json(resource: Resource) -> Json:
    file = {} if resource.file_id is None else {"file_id": resource.file_id}
    return {
        "id": resource.id,
        **resource.settings,
        **file,
        "mount_path": resource.mount_path,
        "created_at": moment(resource.created_at),
        "updated_at": moment(resource.updated_at),
    }


def mount_notes(new: Iterable[NewResource], agent: Mapping[str, Any]) -> Json:
    """What the session's settings keep for the words to the model (`file_notes`)."""
    files = [
        [relative(one.mount_path), one.content.size_bytes, one.facts.mime_type]
        for one in new
        if one.content is not None and one.facts is not None
    ]
    return {"files": files, "writes": not _WRITING.isdisjoint(Policies(agent["tools"]).enabled())}


def file_notes(settings: Mapping[str, Any]) -> str:
    """The paragraph that tells the model where files lie; empty if there is nothing to be told. It is made of settings
    that never change, so the prompt does not change either."""
    mounts = settings.get("mounts", {})
    notes = []
    if files := mounts.get("files"):
        lines = "\n".join(f"- {path} ({size} bytes, {kind})" for path, size, kind in files)
        notes.append(
            "Files that the user has provided. They can only be read, and lie below your working directory, where "
            f"uploads is what the user may call /mnt/session/uploads:\n{lines}"
        )
    if mounts.get("writes"):
        notes.append(
            "Files for the user go into outputs below your working directory, which the user may call "
            "/mnt/session/outputs."
        )
    return "\n\n".join(notes)
