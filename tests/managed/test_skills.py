"""Skills and their versions, through the official SDK."""

from __future__ import annotations

import random
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.lib import files_from_dir
from anthropic.lib.tools._skills import _extract_skill_archive

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import make_settings
from tests.managed.conftest import Sdk
from tests.managed.skill_files import skill, skill_md, unzipped, zip_of
from tests.managed.test_door import HEADERS

NOBODY = "011111111111111111111111"


@pytest.fixture
def either(tmp_path: Path, model: OfflineServer, database_url: str) -> Iterator[Sdk]:
    """Once with each kind of database."""
    server = build(make_settings(tmp_path, model.url, database_url=database_url))
    with Sdk(server, "anything") as client:
        yield client
    server.close()


def test_a_skill_is_made_listed_versioned_downloaded_and_deleted(either: Sdk) -> None:
    sdk = either
    made = sdk.checked(sdk.beta.skills.create(files=skill()))
    assert (made.display_name, made.source.type) == ("poems", "custom")
    assert sdk.checked(sdk.skills.retrieve(made.id)).latest_version_id == made.latest_version_id
    first = sdk.checked(sdk.beta.skills.versions.retrieve("latest", skill_id=made.id))
    assert (first.id, first.name, first.description) == (made.latest_version_id, "poems", "Writes poems.")

    second = sdk.checked(sdk.beta.skills.versions.create(made.id, files=skill(description="Writes odes.")))
    now = sdk.beta.skills.retrieve(made.id)
    assert (now.latest_version_id, now.updated_at > made.updated_at) == (second.id, True)
    assert sdk.beta.skills.versions.retrieve("latest", skill_id=made.id).description == "Writes odes."
    listed = sdk.checked(sdk.skills.versions.list(made.id, limit=1))
    assert [one.id for one in listed] == [second.id, first.id]

    archive = sdk.beta.skills.versions.download(first.id, skill_id=made.id).read()
    assert unzipped(archive) == {
        "poems/SKILL.md": (skill_md(), 0o644),
        "poems/notes/metre.md": (b"Iambic.", 0o644),
        "poems/count.sh": (b"#!/bin/sh\nwc -l\n", 0o755),
    }

    with pytest.raises(anthropic.BadRequestError, match="has versions"):
        sdk.beta.skills.delete(made.id)
    gone = sdk.checked(sdk.skills.versions.delete(second.id, skill_id=made.id))
    assert gone.id == second.id
    assert sdk.beta.skills.retrieve(made.id).latest_version_id == first.id
    with pytest.raises(anthropic.NotFoundError, match="Skill version not found"):
        sdk.beta.skills.versions.download(second.id, skill_id=made.id)
    sdk.beta.skills.versions.delete(first.id, skill_id=made.id)
    assert sdk.checked(sdk.beta.skills.retrieve(made.id)).latest_version_id == ""
    assert sdk.checked(sdk.beta.skills.delete(made.id)).id == made.id
    for call in (sdk.beta.skills.retrieve, sdk.skills.delete, sdk.skills.versions.list):
        with pytest.raises(anthropic.NotFoundError, match="Skill not found"):
            call(made.id)
    assert made.id not in [one.id for one in sdk.skills.list()]


def test_a_list_has_pages_and_sources(sdk: Sdk) -> None:
    made = [sdk.beta.skills.create(files=skill(), display_name=f"No. {number}").id for number in range(3)]
    found = [one.id for one in sdk.beta.skills.list(limit=2)]
    assert found[:3] == made[::-1]
    sdk.checked(sdk.beta.skills.list(limit=2, source="custom"))
    assert [one["id"] for one in sdk.sent["data"]] == made[:0:-1]
    assert sdk.beta.skills.list(source="anthropic").data == []
    for query in ({"source": "moon"}, {"limit": 1001}, {"page": "page_x"}, {"page": "x"}):
        with pytest.raises(anthropic.BadRequestError):
            sdk.beta.skills.list(**query)
        if "source" not in query:
            with pytest.raises(anthropic.BadRequestError):
                sdk.beta.skills.versions.list(made[0], **query)


def test_a_zip_is_taken_as_its_files_are(sdk: Sdk) -> None:
    runs = zipfile.ZipInfo("poems/run")
    runs.external_attr = (stat.S_IFREG | 0o4777) << 16
    entries = [
        ("poems/", b""),
        ("poems/SKILL.md", skill_md()),
        (runs, b"\x7fELF"),
        ("poems/ü.txt", b"u"),
        ("__MACOSX/poems/._SKILL.md", b"of a Mac"),
    ]
    made = sdk.checked(
        sdk.skills.create(files=[("any name.zip", zip_of(*entries))], display_name="Poems, anyone?")
    )
    assert made.display_name == "Poems, anyone?"
    archive = sdk.beta.skills.versions.download("latest", skill_id=made.id).read()
    assert unzipped(archive) == {
        "poems/SKILL.md": (skill_md(), 0o644),
        "poems/run": (b"\x7fELF", 0o755),
        "poems/ü.txt": (b"u", 0o644),
    }
    again = sdk.skills.create(files=[("poems.zip", archive)])
    assert sdk.beta.skills.versions.download("latest", skill_id=again.id).read() == archive


def test_a_folder_comes_to_a_worker_as_it_was(sdk: Sdk, tmp_path: Path) -> None:
    (tmp_path / "poems/bin").mkdir(parents=True)
    (tmp_path / "poems/SKILL.md").write_bytes(skill_md())
    (tmp_path / "poems/bin/run").write_bytes(b"#!/bin/sh\n")
    made = sdk.beta.skills.create(files=files_from_dir(tmp_path / "poems"))
    version = sdk.beta.skills.versions.retrieve("latest", skill_id=made.id)
    archive = tmp_path / "archive"
    archive.write_bytes(sdk.beta.skills.versions.download(version.id, skill_id=made.id).read())
    _extract_skill_archive(archive, tmp_path / version.name / "again")
    found = tmp_path / "poems/again"
    assert (found / "SKILL.md").read_bytes() == skill_md()
    assert stat.S_IMODE((found / "bin/run").stat().st_mode) == 0o755


def test_a_large_archive_comes_back_whole(sdk: Sdk) -> None:
    noise = random.Random(1).randbytes(1_500_000)
    made = sdk.skills.create(
        files=[*skill(), ("poems/noise.bin", noise), ("poems/data.zip", zip_of(("a", b"b")))]
    )
    archive = sdk.beta.skills.versions.download(made.latest_version_id, skill_id=made.id).read()
    assert unzipped(archive)["poems/noise.bin"][0] == noise


def older(server: Server, method: str, path: str, **more: Any) -> Any:
    headers = {**HEADERS, "anthropic-beta": "skills-2025-10-02"}
    return server.app.test_client().open(path, method=method, headers=headers, **more).get_json()


def test_an_older_client_knows_versions_by_their_numbers(laptop: Server, sdk: Sdk) -> None:
    made = sdk.beta.skills.create(files=skill(), display_name="Odes")
    shown = older(laptop, "GET", f"/v1/skills/{made.id}")
    number = shown.pop("latest_version")
    assert number.isdecimal()
    times = {name: sdk.sent[name] for name in ("created_at", "updated_at")}
    assert shown == {
        "id": made.id, "type": "skill", "display_title": "Odes", "source": "custom", **times,
    }  # fmt: skip
    page = older(laptop, "GET", "/v1/skills?limit=1")
    assert (page["has_more"], page["data"][0]["id"]) == (page["next_page"] is not None, made.id)
    (version,) = older(laptop, "GET", f"/v1/skills/{made.id}/versions")["data"]
    assert version == older(laptop, "GET", f"/v1/skills/{made.id}/versions/{number}")
    assert version == {
        "id": made.latest_version_id,
        "type": "skill_version",
        "skill_id": made.id,
        "version": number,
        "name": "poems",
        "directory": "poems",
        "description": "Writes poems.",
        "created_at": version["created_at"],
    }
    assert sdk.beta.skills.versions.retrieve(number, skill_id=made.id).id == made.latest_version_id
    gone = older(laptop, "DELETE", f"/v1/skills/{made.id}/versions/{number}")
    assert gone == {"id": number, "type": "skill_version_deleted"}
    assert older(laptop, "GET", f"/v1/skills/{made.id}")["latest_version"] is None
    assert older(laptop, "DELETE", f"/v1/skills/{made.id}") == {"id": made.id, "type": "skill_deleted"}


def test_no_beta_is_asked_for_and_a_version_is(laptop: Server) -> None:
    http = laptop.app.test_client()
    assert http.get("/v1/skills", headers={"anthropic-version": "2026-10-21"}).status_code == 200
    assert http.get("/v1/skills").status_code == 400


def test_strange_ids_are_refused_or_not_there(sdk: Sdk) -> None:
    made = sdk.beta.skills.create(files=skill())
    for strange, status in (("x", 400), ("skill_x", 400), (f"agent_{NOBODY}", 400), (f"skill_{NOBODY}", 404)):
        for end in ("", "/versions", "/versions/latest", "/versions/latest/content"):
            with pytest.raises(anthropic.APIStatusError) as refused:
                sdk.get(f"/v1/skills/{strange}{end}", cast_to=object)
            assert refused.value.status_code == status, (strange, end)
    for version, status in (
        ("x", 400), ("²", 400), ("1" * 19, 400), ("1" * 18, 404), (f"skill_version_{NOBODY}", 404),
    ):  # fmt: skip
        for call in (
            sdk.skills.versions.retrieve,
            sdk.skills.versions.delete,
            sdk.beta.skills.versions.download,
        ):
            with pytest.raises(anthropic.APIStatusError) as refused:
                call(version, skill_id=made.id)
            assert refused.value.status_code == status, (version, call)
    with pytest.raises(anthropic.BadRequestError, match="Invalid skill version ID"):
        sdk.skills.versions.delete("latest", skill_id=made.id)
    other = sdk.beta.skills.create(files=skill())
    with pytest.raises(anthropic.NotFoundError):
        sdk.skills.versions.retrieve(other.latest_version_id, skill_id=made.id)
    with pytest.raises(anthropic.BadRequestError, match="the name of this skill is poems"):
        sdk.skills.versions.create(made.id, files=skill("odes"))


def test_a_skill_is_its_owners_or_everybodys(company: Server) -> None:
    with (
        Sdk(company, "olga-has-this-token") as olga,
        Sdk(company, "ann-has-this-token") as ann,
        Sdk(company, "ben-has-this-token") as ben,
        Sdk(company, "rita-has-this-token") as rita,
    ):
        common, private = olga.skills.create(files=skill()), ann.skills.create(files=skill())
        assert [one.id for one in ben.skills.list()] == [common.id]
        assert [one.id for one in ann.skills.list()] == [private.id, common.id]
        assert olga.skills.retrieve(private.id).id == private.id
        assert rita.skills.versions.retrieve("latest", skill_id=common.id).name == "poems"
        for refused in (
            lambda: ben.skills.retrieve(private.id),
            lambda: ben.skills.delete(private.id),
            lambda: ben.skills.versions.list(private.id),
            lambda: ben.skills.versions.create(private.id, files=skill()),
            lambda: ben.beta.skills.versions.download("latest", skill_id=private.id),
            lambda: ben.skills.versions.delete(private.latest_version_id, skill_id=private.id),
        ):
            with pytest.raises(anthropic.NotFoundError):
                refused()
        for forbidden in (
            lambda: ben.skills.delete(common.id),
            lambda: ben.skills.versions.create(common.id, files=skill()),
            lambda: ben.skills.versions.delete(common.latest_version_id, skill_id=common.id),
            lambda: rita.skills.create(files=skill()),
            lambda: rita.skills.versions.delete(common.latest_version_id, skill_id=common.id),
        ):
            with pytest.raises(anthropic.PermissionDeniedError):
                forbidden()
