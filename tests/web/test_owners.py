"""All that belongs to one name: had as one archive, and removed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.session import Session
from app.factory import Server, build
from app.store.belongings import AT_ONCE
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.managed.test_door import HEADERS

NAMES = ("ann/user", "ben/user", "ops/operator", "eye/readonly")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[Server]:
    """None of the tests may start a run."""
    tokens = [(name, f"token-of-{name.partition('/')[0]}-0123456789") for name in NAMES]
    place = tmp_path_factory.mktemp("owners")
    built = build(make_settings(place, stand_in.url, auth_tokens=tokens, roots=(place / "w",)))
    yield built
    built.close()


def client(server: Server, name: str) -> LocalClient:
    return LocalClient(server, token=f"token-of-{name}-0123456789")


def made(server: Server, owner: str, path: str, /, **body: Any) -> Any:
    token = {"Authorization": f"Bearer token-of-{owner}-0123456789"}
    answer = server.app.test_client().post(path, json=body, headers={**HEADERS, **token})
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def furnish(server: Server, name: str, *, versions: int = 1) -> tuple[str, Path]:
    """A name's agent, environment, session with a file, and memory."""
    agent = made(server, name, "/v1/agents", name=f"agent of {name}", model="claude-sonnet-5-5")
    environment = made(server, name, "/v1/environments", name=f"environment of {name}")
    store = made(server, name, "/v1/memory_stores", name=f"store of {name}")
    memories = f"/v1/memory_stores/{store['id']}/memories"
    memory = made(server, name, memories, path="/a", content=f"secret of {name} 0")
    for number in range(1, versions):
        made(server, name, f"{memories}/{memory['id']}", content=f"secret of {name} {number}")
    resources = [{"type": "memory_store", "memory_store_id": store["id"]}]
    session = made(
        server,
        name,
        "/v1/sessions",
        agent=agent["id"],
        environment_id=environment["id"],
        title=f"title of {name}",
        resources=resources,
    )
    directory = server.settings.roots[0] / "environments" / session["id"]
    (directory / "in").mkdir()
    (directory / "in" / "ü.txt").write_bytes(f"file of {name}".encode() * 1000)
    (directory / "link").symlink_to("/etc/passwd")
    return session["id"], directory


def archive(server: Server, by: str, name: str) -> dict[str, bytes]:
    answer = client(server, by).ask("GET", f"/api/owners/{name}/export")
    assert (answer.status_code, answer.content_type) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(answer.get_data()), mode="r:") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def rows(found: dict[str, bytes], table: str) -> list[dict[str, Any]]:
    parts = [data for name, data in found.items() if name.startswith(f"tables/{table}/")]
    return [json.loads(line) for data in parts for line in data.splitlines()]


def test_an_archive_has_all_of_one_name_and_nothing_of_another(server: Server) -> None:
    versions = AT_ONCE + 3
    session, _ = furnish(server, "ann", versions=versions)
    furnish(server, "ben")
    client(server, "ann").new_session()
    server.store.sessions.create(Session(id="of another program", owner="ann", working_dir="/"))
    found = archive(server, "ops", "ann")
    assert json.loads(found["about.json"])["name"] == "ann"
    (agent,) = rows(found, "agent_versions")
    assert "agent of ann" in agent["definition_json"]
    assert len(rows(found, "sessions")) == 3
    assert [one["title"] for one in rows(found, "sessions") if one["title"]] == ["title of ann"]
    assert len(rows(found, "managed_sessions")) == len(rows(found, "environments")) == 1
    contents = {one["content"] for one in rows(found, "memory_versions")}
    assert contents == {f"secret of ann {number}" for number in range(versions)}
    assert found[f"environments/{session}/in/ü.txt"] == b"file of ann" * 1000
    assert [name for name in found if "link" in name] == []
    assert not [data for data in found.values() if b"of ben" in data]
    assert archive(server, "ann", "ann").keys() == found.keys()
    ben = client(server, "ben")
    assert ben.call("GET", "/api/owners/ann/export", expect=403)["code"] == "forbidden"
    eye = client(server, "eye")
    assert eye.call("GET", "/api/owners/ann/export", expect=403)["code"] == "forbidden"
    assert list(archive(server, "ops", "nobody%00")) == ["about.json"]


def test_a_name_goes_with_everything_and_no_other_name_does(server: Server) -> None:
    for name in ("ann", "ben", "eye"):
        path = "/api/owners/ben"
        assert client(server, name).call("DELETE", path, expect=403)["code"] == "forbidden"
    session, directory = furnish(server, "ben")
    other, others = furnish(server, "ann")
    before = archive(server, "ops", "ann")
    answer = client(server, "ops").call("DELETE", "/api/owners/ben")
    assert answer["failed_ids"] == []
    assert answer["sessions"] >= 1
    assert answer["removed"]["memory_stores"] >= 1
    assert not directory.exists()
    assert list(archive(server, "ops", "ben")) == ["about.json"]
    assert archive(server, "ops", "ann").keys() == before.keys()
    assert others.exists()
    ops = client(server, "ops")
    trail = ops.call("GET", "/api/audit?who=ops&action=export,delete")["entries"]
    assert {("delete", "everything of ben"), ("export", "everything of ann")} <= {
        (one["action"], one["detail"]) for one in trail
    }
    again = ops.call("DELETE", "/api/owners/ben")
    assert (again["sessions"], set(again["removed"].values())) == (0, {0})
    assert session != other


def test_a_directory_in_which_somebody_else_works_stays(server: Server) -> None:
    _, directory = furnish(server, "ben")
    other = client(server, "ops")
    session = other.new_session(working_dir=str(directory))
    assert other.call("DELETE", "/api/owners/ben")["failed_ids"] == []
    assert (directory / "in" / "ü.txt").exists()
    assert other.session(session)["working_dir"] == str(directory)
