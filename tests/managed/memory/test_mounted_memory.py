"""Memory stores as files of a session, through the official SDK: what the agent reads, writes, and may not write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.conftest import held_by, make_settings
from tests.harness.cages import require_cage
from tests.harness.process import eventually
from tests.managed.conftest import Sdk
from tests.managed.memory.mounted import contents, folder, read_only, session_with, turn
from tests.managed.test_sessions import until_idle
from tests.managed.toolset_calls import call, results

DONE = "[then][say Done.]"


@pytest.fixture
def server(tmp_path: Path, stand_in: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, stand_in.url, roots=(tmp_path / "w",)))
    yield built
    eventually(lambda: not held_by(built), f"this was given back: {held_by(built)}")
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


@pytest.fixture
def store(sdk: Sdk) -> str:
    return sdk.beta.memory_stores.create(name="User Notes!", description="What she likes").id


def test_the_agent_reads_and_writes_memories_as_files(sdk: Sdk, store: str, stand_in: OfflineServer) -> None:
    memories = sdk.beta.memory_stores.memories
    tea = memories.create(store, path="/likes/tea.md", content="green")
    gone = memories.create(store, path="/old", content="x")
    given = {"type": "memory_store", "memory_store_id": store, "instructions": "Be careful."}
    session = session_with(
        sdk,
        given,
        said=call("read", file_path="memory/user-notes/likes/tea.md")
        + "[then]"
        + call("edit", file_path="memory/user-notes/likes/tea.md", old_string="green", new_string="black")
        + call("write", file_path="memory/user-notes/people/ann.md", content="tall\n")
        + call("bash", command="rm memory/user-notes/old; cat memory/user-notes/likes/tea.md")
        + DONE,
    )
    until_idle(sdk, session.id)
    assert [one[0] for one in results(sdk, session.id)] == [
        "green",
        "edited memory/user-notes/likes/tea.md (1 replacement(s))",
        "wrote 5 bytes to memory/user-notes/people/ann.md",
        "black",
    ]
    prompt = str(stand_in.requests[-1]["system"])
    for words in (
        "Be brief.",
        "## User Notes!",
        "`memory/user-notes/` (you may write there)",
        "What she likes",
    ):
        assert words in prompt
    assert "Be careful." in prompt
    assert contents(sdk, store) == {"/likes/tea.md": "black", "/people/ann.md": "tall\n"}
    versions = sdk.beta.memory_stores.memory_versions
    told = [(one.operation, one.path) for one in versions.list(store, session_id=session.id)]
    assert told == [("deleted", "/old"), ("created", "/people/ann.md"), ("modified", "/likes/tea.md")]
    sdk.checked(versions.list(store, session_id=session.id))
    assert sdk.sent["data"][0]["created_by"] == {"type": "session_actor", "session_id": session.id}
    assert [one.operation for one in versions.list(store, memory_id=gone.id)] == ["deleted", "created"]
    assert memories.retrieve(tea.id, memory_store_id=store).content == "black"


def test_the_next_run_sees_what_was_changed_outside_and_keeps_what_a_command_wrote_late(
    sdk: Sdk, server: Server, store: str
) -> None:
    memories = sdk.beta.memory_stores.memories
    first = memories.create(store, path="/a", content="1")
    memories.create(store, path="/b", content="b")
    session = session_with(sdk, store, said=call("bash", command="cat memory/user-notes/a") + DONE)
    until_idle(sdk, session.id)
    memories.update(first.id, memory_store_id=store, content="2", path="/c/a")
    (folder(server, session) / "late").write_text("written after the turn")
    turn(sdk, session.id, call("bash", command="cd memory/user-notes; cat c/a; ls") + DONE, times=2)
    assert results(sdk, session.id)[-1][0] == "2b\nc\nlate"
    assert contents(sdk, store) == {"/b": "b", "/c/a": "2", "/late": "written after the turn"}


def test_what_can_not_be_kept_is_told_once(sdk: Sdk, store: str) -> None:
    commands = [
        "cd memory/user-notes; head -c 102401 /dev/zero | tr '\\0' x > big",
        "printf '\\377' > odd",
        "printf 'a\\0b' > nul",
        "touch $'con\\ttrol'; ln -s /etc/passwd link; mkfifo pipe; echo fine > fine",
        "rm big; echo x > $'\\303'",
        "echo small > big; rm $'\\303'",
    ]
    session = session_with(
        sdk, store, said="[then]".join(call("bash", command=one) for one in commands) + DONE
    )
    until_idle(sdk, session.id)
    lost = "is not kept in the memory store"
    assert [one[0] for one in results(sdk, session.id)] == [
        f"memory/user-notes/big {lost}: it has 102401 bytes, and at most 102400 are allowed",
        f"memory/user-notes/odd {lost}: it is no UTF-8 text",
        f"memory/user-notes/nul {lost}: a NUL character is not allowed here",
        f"memory/user-notes/con\ttrol {lost}: its path can't hold control or format characters",
        f"memory/user-notes/\ufffd {lost}: its name is no UTF-8 text",
        "(no output)",
    ]
    assert contents(sdk, store) == {"/big": "small\n", "/fine": "fine\n"}


def test_a_file_and_a_memory_that_have_both_changed_are_both_kept(
    sdk: Sdk, server: Server, store: str
) -> None:
    memories = sdk.beta.memory_stores.memories
    made = [memories.create(store, path=f"/{name}", content="old") for name in ("a", "b", "c", "d")]
    session = session_with(sdk, store, said=call("bash", command="true") + DONE)
    until_idle(sdk, session.id)
    for name in ("a", "b", "c"):
        (folder(server, session) / name).write_text("mine")
    (folder(server, session) / "d").unlink()
    memories.update(made[0].id, memory_store_id=store, content="theirs")
    memories.update(made[1].id, memory_store_id=store, content="mine")
    memories.delete(made[2].id, memory_store_id=store)
    memories.update(made[3].id, memory_store_id=store, content="theirs")
    turn(sdk, session.id, call("bash", command="cd memory/user-notes; grep . *") + DONE, times=2)
    kept = {"/a": "theirs", "/a.conflict": "mine", "/b": "mine", "/c": "mine", "/d": "theirs"}
    assert contents(sdk, store) == kept
    listed = "\n".join(f"{path[1:]}:{text}" for path, text in kept.items())
    words = "was changed by somebody else meanwhile. It holds that text now; yours is in a.conflict"
    assert results(sdk, session.id)[-1][0] == f"{listed}\nmemory/user-notes/a {words}"


def test_a_read_only_store_stays_as_it_is(sdk: Sdk, server: Server, store: str) -> None:
    memories = sdk.beta.memory_stores.memories
    made = memories.create(store, path="/a", content="1")
    session = session_with(
        sdk,
        read_only(store),
        said=call("write", file_path="memory/user-notes/a", content="2")
        + call("write", file_path="memory/user-notes/new/b", content="2")
        + call("edit", file_path="memory/../memory/user-notes/a", old_string="1", new_string="2")
        + call(
            "bash", command="(cd memory/user-notes; echo 2 > a; echo 2 > c; rm -f a; ln -s user-notes ../l)"
        )
        + call("write", file_path="memory/l/a", content="2")
        + "[then]"
        + call("bash", command="grep . memory/user-notes/*")
        + DONE,
    )
    until_idle(sdk, session.id)
    refused = "this is read-only"
    assert [one[0] for one in results(sdk, session.id)] == [
        f"write: memory/user-notes/a: {refused}",
        f"write: memory/user-notes/new/b: {refused}",
        f"edit: memory/../memory/user-notes/a: {refused}",
        "(no output)",
        f"write: memory/l/a: {refused}",
        "1",
    ]
    assert contents(sdk, store) == {"/a": "1"}
    memories.update(made.id, memory_store_id=store, content="3")
    turn(sdk, session.id, call("bash", command="cat memory/user-notes/a") + DONE, times=2)
    assert results(sdk, session.id)[-1][0] == "3"


def test_all_files_at_once_are_not_taken_away(sdk: Sdk, server: Server, store: str) -> None:
    """A command that clears its directory, or a directory that lies on another machine, must not empty the store."""
    memories = sdk.beta.memory_stores.memories
    for name in ("a", "b"):
        memories.create(store, path=f"/{name}", content=name)
    wiped = "memory/user-notes/: all files were gone at once, and are back. Remove them one by one."
    session = session_with(
        sdk,
        store,
        said=call("bash", command="rm memory/user-notes/*")
        + "[then]"
        + call("bash", command="rm -r memory")
        + "[then]"
        + call("bash", command="cat memory/user-notes/*; rm memory/.user-notes; echo c > memory/user-notes/c")
        + DONE,
    )
    until_idle(sdk, session.id)
    assert [one[0] for one in results(sdk, session.id)] == [wiped, wiped, "ab"]
    assert contents(sdk, store) == {"/a": "a", "/b": "b", "/c": "c\n"}
    (folder(server, session) / "a").write_text("of a directory that is not the newest")
    (folder(server, session) / "e").write_text("likewise")
    turn(sdk, session.id, call("bash", command="grep . memory/user-notes/*") + DONE, times=2)
    assert contents(sdk, store) == {"/a": "a", "/b": "b", "/c": "c\n"}
    assert not (folder(server, session) / "e").exists()


def test_a_store_that_is_archived_or_gone_keeps_nothing_more(sdk: Sdk, store: str) -> None:
    sdk.beta.memory_stores.memories.create(store, path="/a", content="1")
    session = session_with(sdk, store, said=call("bash", command="cat memory/user-notes/a") + DONE)
    until_idle(sdk, session.id)
    sdk.beta.memory_stores.archive(store)
    turn(sdk, session.id, call("bash", command="echo 2 > memory/user-notes/a") + DONE, times=2)
    assert contents(sdk, store) == {"/a": "1"}
    sdk.beta.memory_stores.delete(store)
    turn(sdk, session.id, call("bash", command="cat memory/user-notes/a") + DONE, times=3)
    gone = "The memory store of memory/user-notes/ is gone: nothing there is kept."
    assert results(sdk, session.id)[-1][0] == f"1\n{gone}"


def test_two_sessions_share_a_store(sdk: Sdk, store: str) -> None:
    first, second = session_with(sdk, store), session_with(sdk, store)
    turn(sdk, first.id, call("write", file_path="memory/user-notes/a", content="1") + DONE, times=1)
    turn(
        sdk,
        second.id,
        call("bash", command="cat memory/user-notes/a; echo 2 >> memory/user-notes/a") + DONE,
        times=1,
    )
    turn(sdk, first.id, call("bash", command="cat memory/user-notes/a") + DONE, times=2)
    assert results(sdk, second.id)[-1][0] == "1"
    assert results(sdk, first.id)[-1][0] == "12"
    authors = [one["created_by"]["session_id"] for one in listed_versions(sdk, store)]
    assert authors == [second.id, first.id]


def listed_versions(sdk: Sdk, store: str) -> list[dict[str, Any]]:
    sdk.beta.memory_stores.memory_versions.list(store)
    return list(sdk.sent["data"])


def test_in_a_cage_a_command_can_not_write_to_a_read_only_store(
    tmp_path: Path, stand_in: OfflineServer
) -> None:
    require_cage()
    server = build(make_settings(tmp_path, stand_in.url, roots=(tmp_path / "w",), sandbox="bubblewrap"))
    with Sdk(server, "anything") as sdk:
        store = sdk.beta.memory_stores.create(name="User notes").id
        sdk.beta.memory_stores.memories.create(store, path="/a", content="1\n")
        other = sdk.beta.memory_stores.create(name="Mine").id
        commands = "cat memory/user-notes/a; echo 2 > memory/user-notes/a; echo 3 > memory/mine/b"
        session = session_with(sdk, read_only(store), other, said=call("bash", command=commands) + DONE)
        until_idle(sdk, session.id)
        ((words, failed),) = results(sdk, session.id)
        assert (words.startswith("1\n"), "Read-only file system" in words, failed) == (True, True, False)
        assert contents(sdk, other) == {"/b": "3\n"}
    server.close()
