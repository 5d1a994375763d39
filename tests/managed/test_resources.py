"""Files that are mounted into sessions, through the official SDK."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaManagedAgentsSession

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed_ids import new_id
from tests.conftest import held_by, make_settings
from tests.harness.cages import require_cage
from tests.harness.process import eventually
from tests.managed.conftest import Sdk, SessionMaker
from tests.managed.test_door import HEADERS
from tests.managed.test_files import NOWHERE, rows
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import TOOLSET, call, results

UPLOADS = "/mnt/session/uploads"


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


def mounted(file_id: str, path: str | None = None) -> Any:
    return {"type": "file", "file_id": file_id, **({} if path is None else {"mount_path": path})}


def with_tools(sdk: Sdk, *resources: Any) -> BetaManagedAgentsSession:
    tools: Any = [{"type": TOOLSET}]
    agent = sdk.beta.agents.create(name="Tools", model="claude-sonnet-5-5", tools=tools, system="Be kind.")
    environment = sdk.beta.environments.create(name="here")
    return sdk.beta.sessions.create(agent=agent.id, environment_id=environment.id, resources=list(resources))


def test_a_session_has_its_own_copies(sdk: Sdk, laptop: Server, new_session: SessionMaker) -> None:
    before = rows(laptop.store.database, "file_contents", "files", "session_resources")
    file = sdk.beta.files.upload(file=("data.csv", b"a,b\n", "text/csv"))
    session = new_session(resources=[mounted(file.id), mounted(file.id, "/in/data.csv")])
    sdk.checked(session)
    resources: list[Any] = session.resources
    first, second = resources
    assert (first.type, second.type) == ("file", "file")
    assert [first.mount_path, second.mount_path] == [f"{UPLOADS}/{file.id}", f"{UPLOADS}/in/data.csv"]
    assert len({first.file_id, second.file_id, file.id}) == 3
    copy = sdk.checked(sdk.beta.files.retrieve_metadata(first.file_id))
    assert copy.scope is not None
    assert (copy.scope.id, copy.filename, copy.size_bytes, copy.downloadable) == (
        session.id,
        "data.csv",
        4,
        False,
    )
    added = sdk.beta.sessions.resources.add(session.id, file_id=file.id, type="file", mount_path="more")
    assert sdk.checked(added).mount_path == f"{UPLOADS}/more"
    page = sdk.checked(sdk.beta.sessions.resources.list(session.id))
    assert page.data == [first, second, added]
    assert page.next_page is None
    assert list(sdk.beta.sessions.resources.list(session.id, limit=1)) == page.data
    assert sdk.beta.sessions.resources.retrieve(second.id, session_id=session.id) == second
    assert sdk.beta.sessions.retrieve(session.id).resources == page.data
    assert next(one for one in sdk.beta.sessions.list() if one.id == session.id).resources == page.data
    assert [one.id for one in sdk.beta.files.list(scope_id=session.id)] == [
        added.file_id,
        second.file_id,
        first.file_id,
    ]
    gone = sdk.checked(sdk.beta.sessions.resources.delete(second.id, session_id=session.id))
    assert (gone.id, gone.type) == (second.id, "session_resource_deleted")
    with pytest.raises(anthropic.NotFoundError):
        sdk.beta.sessions.resources.retrieve(second.id, session_id=session.id)
    with pytest.raises(anthropic.NotFoundError):
        sdk.beta.files.retrieve_metadata(second.file_id)
    sdk.beta.files.delete(added.file_id)
    assert list(sdk.beta.sessions.resources.list(session.id)) == [first]
    sdk.beta.files.delete(file.id)  # the copies stay
    assert sdk.beta.files.retrieve_metadata(first.file_id).size_bytes == 4
    sdk.beta.sessions.delete(session.id)
    assert rows(laptop.store.database, "file_contents", "files", "session_resources") == before


NO_PLACES: list[tuple[Any, str]] = [
    ("../x", 'mount path "../x" escapes /uploads/'),
    ("/a/../../x", "escapes /uploads/"),
    (f"{UPLOADS}/../outputs/x", "escapes /uploads/"),
    ("/", "must name a file"),
    (UPLOADS, "must name a file"),
    ("a/..", "must name a file"),
    ("/taken.txt", "overlaps another resource: /uploads/taken.txt"),
    ("TAKEN.txt/", "overlaps another resource"),
    ("taken.txt/x", "overlaps another resource"),
    ("x" * 256, "too long"),
    ("a/" * 200 + "x", "too long"),
    ("a\nb", "not allowed"),
    ("a\x00b", ""),
    ("x" * 4097, ""),
    ("", ""),
    (".git/hooks/x", "execute"),
    (7, ""),
]


def test_a_file_is_mounted_only_where_it_may_be(sdk: Sdk, new_session: SessionMaker) -> None:
    file = sdk.files.upload(file=("a.txt", b"x"))
    session = new_session(resources=[mounted(file.id, "taken.txt")])
    for path, words in NO_PLACES:
        with pytest.raises(anthropic.BadRequestError):
            sdk.beta.sessions.resources.add(session.id, file_id=file.id, type="file", mount_path=path)
        assert words in sdk.sent["error"]["message"], path
        with pytest.raises(anthropic.BadRequestError):
            new_session(resources=[mounted(file.id, "taken.txt"), mounted(file.id, path)])
        assert words in sdk.sent["error"]["message"], path


def test_bad_resources_are_refused(sdk: Sdk, laptop: Server, new_session: SessionMaker) -> None:
    file = sdk.files.upload(file=("a.txt", b"x"))
    session = new_session(resources=[mounted(file.id)])
    resources: list[Any] = session.resources
    [resource] = resources
    http, place = laptop.app.test_client(), f"/v1/sessions/{session.id}/resources"
    before = rows(laptop.store.database, "sessions", "files")
    for bad, status in (
        ({}, 400),
        ({"type": "file"}, 400),
        ({"type": "file", "file_id": "x"}, 400),
        ({"type": "file", "file_id": NOWHERE}, 404),
        ({"type": "file", "file_id": file.id, "more": 1}, 400),
        ({"type": "file", "file_id": file.id, "mount_path": []}, 400),
        ({"type": "moon", "file_id": file.id}, 400),
        ({"type": []}, 400),
        ([], 400),
        ("x", 400),
        (None, 400),
    ):
        answer = http.post(place, json=bad, headers=HEADERS)
        assert answer.status_code == status, (bad, answer.get_json())
        body: Any = {"agent": session.agent.id, "environment_id": session.environment_id, "resources": [bad]}
        answer = http.post("/v1/sessions", json=body, headers=HEADERS)
        assert answer.status_code == status, (bad, answer.get_json())
    assert rows(laptop.store.database, "sessions", "files") == before
    for other in (
        {"type": "github_repository", "url": "https://github.com/a/b"},
        {"type": "memory_store", "memory_store_id": "memstore_x"},
    ):
        assert http.post(place, json=other, headers=HEADERS).status_code == 400, other
    for path, method, status in (
        (f"{place}/x", "GET", 400),
        (f"{place}/x", "DELETE", 400),
        (f"{place}/{new_id('sesrsc')}", "GET", 404),
        (f"{place}/{new_id('sesrsc')}", "DELETE", 404),
        (f"{place}/{resource.id}", "POST", 400),
        (f"{place}?limit=0", "GET", 400),
        (f"{place}?limit=1001", "GET", 400),
        (f"{place}?page=x", "GET", 400),
        (f"{place}?foo=bar", "GET", 200),
        (f"/v1/sessions/{new_id('sesn')}/resources", "GET", 404),
    ):
        answer = http.open(path, method=method, json={"authorization_token": "t"}, headers=HEADERS)
        assert answer.status_code == status, (path, method, answer.get_json())
    many = [mounted(file.id, f"{number}") for number in range(501)]
    with pytest.raises(anthropic.BadRequestError, match="at most 500 files"):
        new_session(resources=many)
    sdk.beta.sessions.archive(session.id)
    with pytest.raises(anthropic.BadRequestError, match="is archived"):
        sdk.beta.sessions.resources.add(session.id, file_id=file.id, type="file")
    with pytest.raises(anthropic.BadRequestError, match="is archived"):
        sdk.beta.sessions.resources.delete(resource.id, session_id=session.id)


def test_nobody_mounts_a_file_of_somebody_else(company: Server) -> None:
    with Sdk(company, "ann-has-this-token") as ann, Sdk(company, "ben-has-this-token") as ben:
        file = ann.files.upload(file=("a.txt", b"x"))
        agent = ben.beta.agents.create(name="a", model="claude-sonnet-5-5")
        environment = ben.beta.environments.create(name="e")
        own = ben.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        with pytest.raises(anthropic.NotFoundError, match="File not found"):
            ben.beta.sessions.create(
                agent=agent.id, environment_id=environment.id, resources=[mounted(file.id)]
            )
        with pytest.raises(anthropic.NotFoundError, match="File not found"):
            ben.beta.sessions.resources.add(own.id, file_id=file.id, type="file")
        for call_it in (
            lambda: ann.beta.sessions.resources.list(own.id),
            lambda: ann.beta.sessions.resources.add(own.id, file_id=file.id, type="file"),
        ):
            with pytest.raises(anthropic.NotFoundError, match="Session not found"):
                call_it()


def test_the_model_finds_what_is_mounted_and_can_not_change_it(server: Server, model: OfflineServer) -> None:
    with Sdk(server, "anything") as sdk:
        file = sdk.files.upload(file=("a.txt", b"one\n"))
        session = with_tools(sdk, mounted(file.id, "in/a.txt"))
        said = (
            call("bash", command="cat uploads/in/a.txt; stat -c %a uploads/in/a.txt")
            + call("read", file_path=f"{UPLOADS}/in/a.txt")
            + call("read", file_path="/workspace/uploads/in/a.txt")
            + call("glob", pattern="**/*.txt", path=UPLOADS)
            + call("grep", pattern="on.", path=f"{UPLOADS}/in")
            + call("read", file_path=f"{UPLOADS}/../../../etc/passwd")
            + call("write", file_path="/mnt/session/outputs/b.txt", content="b")
            + call(
                "bash",
                command="cat outputs/b.txt; chmod u+w uploads/in/a.txt; echo 2 > uploads/in/a.txt; touch uploads/c",
            )
            + "[then][say Done.]"
        )
        sdk.beta.sessions.events.send(session.id, events=[say(said)])
        until_idle(sdk, session.id)
        found = results(sdk, session.id)
        place = found[3][0].removesuffix("/uploads/in/a.txt")
        assert found[:3] == [("one\n444", False), ("one\n", False), ("one\n", False)]
        assert found[4] == (f"{place}/uploads/in/a.txt:1:one", False)
        assert "outside" in found[5][0]
        assert found[6:] == [("wrote 1 bytes to /mnt/session/outputs/b.txt", False), ("b", False)]
        system = str(model.requests[-1]["system"])
        assert "- uploads/in/a.txt (4 bytes, text/plain)" in system
        assert system.index("Be kind.") < system.index("uploads/in/a.txt")
        added = sdk.beta.sessions.resources.add(session.id, file_id=file.id, type="file", mount_path="d")
        assert sorted(path.name for path in Path(place, "uploads").iterdir()) == ["c", "d", "in"]
        assert Path(place, "uploads/in/a.txt").read_text() == "one\n"
        sdk.beta.sessions.resources.delete(added.id, session_id=session.id)
        assert sorted(path.name for path in Path(place, "uploads").iterdir()) == ["c", "in"]
        shutil.rmtree(place)  # as if the session had come to another machine
        again = call("bash", command="cat uploads/in/a.txt") + "[then][say Done.]"
        sdk.beta.sessions.events.send(session.id, events=[say(again)])
        until_idle(sdk, session.id, times=2)
        assert results(sdk, session.id)[-1] == ("one", False)


def test_caged_commands_see_the_places_by_the_names_of_the_api(tmp_path: Path, model: OfflineServer) -> None:
    require_cage()
    built = build(make_settings(tmp_path, model.url, roots=(tmp_path / "w",), sandbox="bubblewrap"))
    with Sdk(built, "anything") as sdk:
        file = sdk.files.upload(file=("a.txt", b"one"))
        session = with_tools(sdk, mounted(file.id, "a.txt"))
        command = (
            f"cat {UPLOADS}/a.txt; mkdir outputs; echo 2 > /mnt/session/outputs/b; cat /workspace/outputs/b"
        )
        sdk.beta.sessions.events.send(
            session.id, events=[say(call("bash", command=command) + "[then][say Done.]")]
        )
        until_idle(sdk, session.id)
        assert results(sdk, session.id) == [("one2", False)]
    eventually(lambda: not held_by(built), "everything was given back")
    built.close()


def test_no_link_leads_what_is_mounted_out_of_the_directory(server: Server, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    with Sdk(server, "anything") as sdk:
        file = sdk.files.upload(file=("a.txt", b"one"))
        session = with_tools(sdk, mounted(file.id, "a.txt"))
        said = call("bash", command=f"pwd; rm -rf uploads; ln -s {outside} uploads") + "[then][say Done.]"
        sdk.beta.sessions.events.send(session.id, events=[say(said)])
        until_idle(sdk, session.id)
        sdk.beta.sessions.resources.add(session.id, file_id=file.id, type="file", mount_path="b.txt")
        sdk.beta.sessions.events.send(session.id, events=[say("[say Done.]")])
        until_idle(sdk, session.id, times=2)
        assert {path.name: path.read_text() for path in outside.iterdir()} == {"kept": "kept"}
        uploads = Path(results(sdk, session.id)[0][0], "uploads")
        assert not uploads.is_symlink()
        assert {path.name: path.read_text() for path in uploads.iterdir()} == {"a.txt": "one", "b.txt": "one"}
