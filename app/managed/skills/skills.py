"""Skills of the Managed Agents API, and their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from flask import Response, request

from app.errors import InvalidRequest
from app.managed.calls import Calls, delete, get, post
from app.managed.id_validation import checked
from app.managed.paging import page_json, window
from app.managed.skills.uploads import UploadForm
from app.managed.skills.versions import checked_version
from app.managed.times import moment
from app.managed.worker_access import WorkerAccess
from app.managed_ids import new_id
from app.store.key_pages import Place, Window
from app.store.skill_store import LATEST, Skill, SkillStore, SkillVersion
from app.web.access import own_name, owner, role
from app.web.response_json import json_response
from app.web.worker_routes import OF_ITEM

T = TypeVar("T")
Json = dict[str, Any]

MOST: Final = 1000
TODAYS_FORM: Final = "2026-10-21"
"""The `anthropic-version` since which skills have their present form."""

_SOURCES: Final = ("custom", "anthropic", "anthropic_example", "plugin")


class SkillCalls(Calls):
    prefix = "/v1/skills"

    def __init__(self, skills: SkillStore, workers: WorkerAccess) -> None:
        self._skills = skills
        self._workers = workers

    @post("")
    def create(self) -> Response:
        form = UploadForm("display_name", "display_title")
        upload = form.skill()
        made = self._skills.add(
            new_id("skill"),
            new_id("skill_version"),
            upload,
            form.display_name(default=upload.name),
            owner=own_name(),
            shared=role() != "user",
        )
        return json_response(_skill_json(made))

    @get("")
    def page(self) -> Response:
        asked, source = window(most=MOST), request.args.get("source")
        if source is not None and source not in _SOURCES:
            allowed = ", ".join(sorted(_SOURCES))
            raise InvalidRequest(f'source: "{source[:100]}" is not a valid value; expected one of {allowed}')
        here = source in (None, "custom")
        rows = self._skills.page(asked, owner=owner()) if here else []
        return json_response(_page(rows, asked, _skill_json, lambda one: (one.created_at, one.id)))

    @get("/<skill_id>")
    def retrieve(self, skill_id: str) -> Response:
        return json_response(_skill_json(self._skills.get(checked("skill", skill_id), owner=owner())))

    @post("/<skill_id>/versions")
    def create_version(self, skill_id: str) -> Response:
        upload = UploadForm().skill()
        made = self._skills.add_version(
            checked("skill", skill_id), new_id("skill_version"), upload, owner=owner()
        )
        return json_response(_version_json(made))

    @get("/<skill_id>/versions")
    def versions(self, skill_id: str) -> Response:
        asked = window(most=MOST)
        rows = self._skills.versions(checked("skill", skill_id), asked, owner=owner())
        return json_response(_page(rows, asked, _version_json, lambda one: (float(one.number), one.id)))

    @get("/<skill_id>/versions/<version>", workers=[OF_ITEM])
    def retrieve_version(self, skill_id: str, version: str) -> Response:
        return json_response(_version_json(self._version(skill_id, version)))

    @delete("/<skill_id>/versions/<version>")
    def delete_version(self, skill_id: str, version: str) -> Response:
        if version == LATEST:
            raise InvalidRequest("Invalid skill version ID.")
        gone = self._skills.delete_version(
            checked("skill", skill_id), checked_version(version), owner=owner()
        )
        shown = str(gone.number) if _is_older() else gone.id
        return json_response({"id": shown, "type": "skill_version_deleted"})

    @get("/<skill_id>/versions/<version>/content", workers=[OF_ITEM])
    def download(self, skill_id: str, version: str) -> Response:
        found = self._version(skill_id, version)
        answer = Response(self._skills.archive_of(found.id), content_type="application/zip")
        answer.headers["Content-Disposition"] = f'attachment; filename="{found.name}.zip"'
        return answer

    @delete("/<skill_id>")
    def delete(self, skill_id: str) -> Response:
        self._skills.delete(checked("skill", skill_id), owner=owner())
        return json_response({"id": skill_id, "type": "skill_deleted"})

    def _version(self, skill_id: str, version: str) -> SkillVersion:
        self._workers.require_skill(skill_id)
        return self._skills.version(checked("skill", skill_id), checked_version(version), owner=owner())


def _is_older() -> bool:
    """Does the client know skills in their form from before `TODAYS_FORM`?"""
    return request.headers.get("anthropic-version", "") < TODAYS_FORM


def _skill_json(skill: Skill) -> Json:
    times = {"created_at": moment(skill.created_at), "updated_at": moment(skill.updated_at)}
    latest_id, number = skill.latest or ("", None)
    if _is_older():
        return {
            "id": skill.id,
            "type": "skill",
            "display_title": skill.display_name,
            "latest_version": None if number is None else str(number),
            "source": "custom",
            **times,
        }
    return {
        "id": skill.id,
        "type": "skill",
        "display_name": skill.display_name,
        "latest_version_id": latest_id,
        "source": {"type": "custom"},
        **times,
    }


def _version_json(version: SkillVersion) -> Json:
    made = {
        "id": version.id,
        "type": "skill_version",
        "skill_id": version.skill_id,
        "name": version.name,
        "description": version.description,
        "created_at": moment(version.created_at),
    }
    return {**made, "version": str(version.number), "directory": version.name} if _is_older() else made


def _page(rows: Sequence[T], asked: Window, show: Callable[[T], Json], place: Callable[[T], Place]) -> Json:
    answer = page_json(rows, asked, show, place)
    return {**answer, "has_more": answer["next_page"] is not None} if _is_older() else answer
