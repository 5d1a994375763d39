"""Makes resources of what requests ask for, and shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.errors import InvalidRequest
from app.managed.files.resource_bodies import FileResource, RepositoryResource, repository_name
from app.managed.id_validation import checked
from app.managed.places import file_mount, refuse_overlap, relative, repository_mount
from app.managed.policies import Policies
from app.managed.vaults.secret_box import SecretBox
from app.managed_ids import new_id
from app.store.file_store import Content, FileFacts, FileStore
from app.store.resource_store import NewResource

Json = dict[str, Any]

REPOSITORY: Final = "github_repository"
MOST_REPOSITORIES: Final = 10

_WRITING: Final = frozenset({"bash", "write"})


class Mounts:
    """Any thread may call it."""

    def __init__(self, files: FileStore, box: SecretBox) -> None:
        self._files = files
        self._box = box

    def new(
        self,
        given: Sequence[FileResource | RepositoryResource],
        *,
        session_id: str,
        session_owner: str,
        owner: str | None,
    ) -> list[NewResource]:
        """Resources of a session, each file a copy of the session's own. `owner`: of the caller, whose files may be
        mounted. InvalidRequest, NotFound."""
        if sum(one.type == REPOSITORY for one in given) > MOST_REPOSITORIES:
            raise InvalidRequest(f"resources: a session has at most {MOST_REPOSITORIES} repositories")
        made: list[NewResource] = []
        for one in given:
            if isinstance(one, RepositoryResource):
                path = repository_mount(one.mount_path, repository_name(one.url))
                refuse_overlap(path, [other.mount_path for other in made], REPOSITORY)
                checkout = None if one.checkout is None else one.checkout.model_dump()
                settings = {"type": REPOSITORY, "url": one.url, "checkout": checkout}
                token = one.authorization_token
                sealed = None if token is None else self.sealed(token)
                made.append(NewResource(new_id("sesrsc"), path, settings, sealed=sealed))
                continue
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

    def sealed(self, token: str) -> str:
        """The token of a repository as it is stored. InvalidRequest if this server can't encrypt it."""
        return self._box.seal({"token": token}, "authorization_token")


def mount_notes(new: Sequence[NewResource], agents: Sequence[Mapping[str, Any]]) -> Json:
    """The part of the session's settings that `file_notes` makes words of."""
    files = [
        [relative(one.mount_path), one.content.size_bytes, one.facts.mime_type]
        for one in new
        if one.content is not None and one.facts is not None
    ]
    cloned = [[one.settings["url"], relative(one.mount_path)] for one in new if one.content is None]
    return {
        "files": files,
        "repositories": cloned,
        "writes": any(not _WRITING.isdisjoint(Policies(one["tools"]).enabled()) for one in agents),
    }
