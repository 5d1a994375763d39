"""Files that a session writes below its outputs, through the official SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from app.managed.id_validation import number_of
from app.store.file_store import Content, FileFacts, StoredFile
from tests.conftest import held_by, make_settings
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.test_files import rows
from tests.managed.test_sessions import say, until_idle
from tests.managed.toolset_calls import ASK, call, confirm, started, waiting

MOST = 1000


@pytest.fixture
def server(tmp_path: Path, model: OfflineServer) -> Iterator[Server]:
    settings = make_settings(tmp_path, model.url, roots=(tmp_path / "w",), max_file_bytes=MOST)
    built = build(settings)
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def outputs(sdk: Sdk, session: str) -> dict[str, Any]:
    """The session's files, by their names."""
    page = sdk.checked(sdk.beta.files.list(scope_id=session))
    return {one.filename: one for one in page.data}


def run(sdk: Sdk, session: str, command: str, *, times: int) -> None:
    sdk.beta.sessions.events.send(session, events=[say(call("bash", command=command) + "[then][say Done.]")])
    until_idle(sdk, session, times=times)


def test_what_a_session_writes_is_there_when_it_is_idle(sdk: Sdk, server: Server) -> None:
    session = started(
        sdk,
        call(
            "bash", command="mkdir -p outputs/in; printf one > outputs/a.txt; printf '{}' > outputs/in/b.json"
        )
        + call("write", file_path="/mnt/session/outputs/c.md", content="# C")
        + "[then][say Done.]",
    )
    until_idle(sdk, session.id)
    found = outputs(sdk, session.id)
    assert {name: (one.size_bytes, one.mime_type) for name, one in found.items()} == {
        "a.txt": (3, "text/plain"),
        "b.json": (2, "application/json"),
        "c.md": (3, "text/markdown"),
    }
    for one in found.values():
        assert one.downloadable
        assert one.scope.id == session.id
    assert sdk.beta.files.download(found["a.txt"].id).read() == b"one"
    assert sdk.beta.sessions.retrieve(session.id).resources == []
    run(sdk, session.id, "printf two > outputs/a.txt; rm outputs/c.md; echo > x", times=2)
    again = outputs(sdk, session.id)
    assert again["a.txt"].id != found["a.txt"].id
    assert (again["b.json"], again["c.md"]) == (found["b.json"], found["c.md"])
    assert sdk.beta.files.download(again["a.txt"].id).read() == b"two"
    with pytest.raises(anthropic.NotFoundError):
        sdk.beta.files.retrieve_metadata(found["a.txt"].id)
    sdk.beta.sessions.delete(session.id)
    assert rows(server.store.database, "files", "file_contents", "file_chunks") == [0, 0, 0]


def test_outputs_are_there_while_the_session_waits_for_somebody(sdk: Sdk) -> None:
    config = {"configs": [{"name": "write", "permission_policy": ASK}]}
    said = call("bash", command="mkdir outputs; printf one > outputs/a.txt") + "[then]"
    session = started(
        sdk, said + call("write", file_path="outputs/b.txt", content="b") + "[then][say Done.]", **config
    )
    [use] = waiting(sdk, session.id)
    assert [*outputs(sdk, session.id)] == ["a.txt"]
    sdk.beta.sessions.events.send(session.id, events=[confirm(use)])
    until_idle(sdk, session.id, times=2)
    assert {*outputs(sdk, session.id)} == {"a.txt", "b.txt"}


def test_no_link_and_nothing_too_long_becomes_a_file(sdk: Sdk, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/s.txt").write_text("secret")
    commands = (
        f"mkdir outputs; cd outputs; ln -s {tmp_path}/secret/s.txt link; ln -s {tmp_path}/secret dir",
        f"ln {tmp_path}/secret/s.txt hard; mkfifo pipe; head -c {MOST} /dev/zero > most",
        f"head -c {MOST + 1} /dev/zero > more; printf x > $'odd\\xff\\nname'",
    )
    session = started(sdk, call("bash", command="; ".join(commands)) + "[then][say Done.]")
    until_idle(sdk, session.id)
    found = outputs(sdk, session.id)
    assert {one.size_bytes for one in found.values()} == {MOST, 1}
    assert [name for name in found if name != "most"] == ["odd\ufffd\nname"]
    run(sdk, session.id, f"rm -r ../outputs; cd ..; ln -s {tmp_path}/secret outputs", times=2)
    assert outputs(sdk, session.id) == found


def test_the_idle_event_is_stored_behind_the_files(
    sdk: Sdk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, told, idle_before = server.store.resources, server.store.told, []
    add = files.add_output

    def added(content: Content, facts: FileFacts, *, instead_of: str | None) -> StoredFile:
        stored = add(content, facts, instead_of=instead_of)
        idle_before.append(told.last(str(facts.session_id), "session.status_idle"))
        return stored

    monkeypatch.setattr(files, "add_output", added)
    session = started(
        sdk, call("bash", command="mkdir outputs; printf one > outputs/a.txt") + "[then][say Done.]"
    )
    until_idle(sdk, session.id)
    assert idle_before == [None]


def test_an_output_that_was_not_captured_comes_with_the_next_run(sdk: Sdk, server: Server) -> None:
    """As after the death of the process that ran the session."""
    session = started(sdk, call("bash", command="pwd; mkdir outputs") + "[then][say Done.]")
    until_idle(sdk, session.id)
    directory = Path(server.store.managed.get(number_of(session.id), owner=None).session.working_dir)
    (directory / "outputs/a.txt").write_text("one")
    os.utime(directory / "outputs/a.txt", (1, 1))
    assert outputs(sdk, session.id) == {}
    sdk.beta.sessions.events.send(session.id, events=[say("[say Done.]")])
    until_idle(sdk, session.id, times=2)
    assert [*outputs(sdk, session.id)] == ["a.txt"]
