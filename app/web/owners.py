"""Routes for all that belongs to one name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Final, Protocol

import orjson
from flask import Response
from typing_extensions import TypedDict

from app import errors
from app.roots import Roots
from app.runtime.own_directories import files_in, own_directory
from app.runtime.run_control import RunControl
from app.store.store import Store
from app.web.access import own_name, requester, require_operator
from app.web.resource import Resource, ResponseSpec, delete, get
from app.web.response_json import json_response, time_text
from app.web.tar_stream import END, file_member, member


class RemoveDirectory(Protocol):
    def __call__(self, session_id: str, working_dir: str, *, owner: str) -> None:
        """Removes the directory of a deleted session, unless another session works in it."""
        ...


STOP_SECONDS: Final = 10.0
"""How long the removal of a name waits for the ends of its runs, all together."""


class RemovedJson(TypedDict):
    """`sessions` counts those that were deleted; `removed` rows of other tables; `failed_ids` are sessions whose runs
    could not be stopped: ask again."""

    name: str
    sessions: int
    removed: dict[str, int]
    failed_ids: list[str]


class OwnerResource(Resource):
    """All that the server keeps for a name: its sessions at both doors, and what it has defined."""

    name = "owners"
    prefix = "/api/owners/<name>"

    def __init__(
        self, store: Store, control: RunControl, roots: Roots, remove_directory: RemoveDirectory
    ) -> None:
        self._store = store
        self._control = control
        self._roots = roots
        self._remove_directory = remove_directory

    @get(
        "/export",
        "Everything that belongs to a name, as a tar archive",
        answers={200: ResponseSpec("The archive.", media="application/x-tar")},
        refusals=(errors.Forbidden,),
    )
    def export(self, name: str) -> Response:
        """`tables/TABLE/NUMBER.jsonl` has rows, one a line; `environments/sesn_…/` the files of a session's own
        directory, without links. Each part is read when it is sent: what changes meanwhile may be in one part and not
        in another. Operators may have everybody's; everyone else their own."""
        if own_name() != name:
            require_operator()
        self._store.audit.note("export", "", detail=f"everything of {name}")
        pieces = self._archive(_plain(name))
        first = next(pieces)  # what it raises becomes a refusal
        answer = Response(chain([first], pieces), content_type="application/x-tar")
        answer.headers["Content-Disposition"] = 'attachment; filename="export.tar"'
        return answer

    @delete(
        "",
        "Removes everything that belongs to a name",
        answers={200: ResponseSpec("What there was.", RemovedJson)},
        refusals=(errors.Forbidden,),
    )
    def remove(self, name: str) -> Response:
        """Stops the name's runs, and removes its sessions with their directories, its agents, environments and memory
        stores with all their versions. Its words in other names' sessions and the audit trail stay. The name's
        token stays valid: take it away before, or new things may come meanwhile. For operators."""
        require_operator()
        name = _plain(name)
        self._store.audit.note("delete", "", detail=f"everything of {name}")
        deadline = time.monotonic() + STOP_SECONDS
        sessions = self._store.belongings.sessions(name)
        deleted, failed = 0, []
        for session in sessions:
            try:
                left = max(0.0, deadline - time.monotonic())
                self._control.delete(session.id, by=requester(), wait=left)
            except errors.SessionNotFound:
                pass  # a task, which went with its session; its directory may be there still
            except errors.SessionBusy:
                failed.append(session.id)
            else:
                deleted += 1
        for session in sessions:  # once none of them works in another one's directory
            self._remove_directory(session.id, session.working_dir, owner=name)
        removed = self._store.belongings.remove(name)
        body: RemovedJson = {"name": name, "sessions": deleted, "removed": removed, "failed_ids": failed}
        return json_response(body)

    def _archive(self, name: str) -> Iterator[bytes]:
        now = time.time()
        about = {"name": name, "exported_at": time_text(now), "format": 1}
        yield from member("about.json", orjson.dumps(about), at=now)
        for number, (table, rows) in enumerate(self._store.belongings.rows(name), 1):
            lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
            yield from member(f"tables/{table}/{number:06}.jsonl", lines, at=now)
        ground = self._roots.of(name)
        for session in self._store.belongings.sessions(name):
            if (directory := own_directory(session.id, session.working_dir, ground)) is not None:
                for found in files_in(directory):
                    path = f"environments/{directory.name}/{found.path}"
                    yield from file_member(path, found.size, found.file, at=found.changed)
        yield END


def _plain(name: str) -> str:
    return name.replace("\0", "")
