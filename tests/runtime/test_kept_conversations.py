"""Conversations between two runs: their next run in the same process does less, and says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.transcript import Message
from app.factory import Server, build
from app.runtime.kept_conversations import KeptConversation, KeptConversations
from app.store import decoded_rows
from app.store.decoded_rows import DecodedRows
from app.store.row_mapping import message_of
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient


def weighing(weight: int) -> KeptConversation:
    return KeptConversation(DecodedRows(weight=weight))


def test_the_session_that_waited_longest_goes_first() -> None:
    kept = KeptConversations(100)
    first, second, third = weighing(40), weighing(40), weighing(40)
    kept.keep("first", first)
    kept.keep("second", second)
    kept.keep("first", kept.take("first"))
    kept.keep("third", third)
    assert kept.bytes == 80
    assert kept.take("second") is not second
    assert (kept.take("first"), kept.take("third"), kept.bytes) == (first, third, 0)


def test_the_bound_counts_what_is_kept_once() -> None:
    kept = KeptConversations(100)
    for weight in (40, 60, 10):
        kept.keep("one", weighing(weight))
    assert kept.bytes == 10
    kept.keep("two", weighing(101))
    assert kept.bytes == 10
    kept.forget("one")
    kept.forget("two")
    assert kept.bytes == 0


def test_a_conversation_has_one_owner_at_a_time() -> None:
    kept = KeptConversations(100)
    kept.keep("one", weighing(1))
    assert kept.take("one") is not kept.take("one")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[tuple[Server, Server]]:
    """Two processes on one database; the second keeps nothing."""
    directory = tmp_path_factory.mktemp("kept")
    here = build(make_settings(directory, stand_in.url))
    there = build(make_settings(directory, stand_in.url, history_bytes=0))
    yield here, there
    here.close()
    there.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that were decoded for runs."""
    rows: list[Message] = []

    def noting(row: Any) -> Message:
        rows.append(message_of(row))
        return rows[-1]

    monkeypatch.setattr(decoded_rows, "message_of", noting)
    return rows


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The servers outlive each test here."""


def words(request: dict[str, Any]) -> list[str]:
    return [block["text"] for message in request["messages"] for block in message["content"]]


def talk(client: LocalClient, session: str, *texts: str) -> None:
    for text in texts:
        client.say(session, f"[say {text}!] {text}")
        client.wait_until_free(session)


def edit(client: LocalClient, session: str) -> None:
    client.call("PATCH", f"/api/sessions/{session}/messages/0", {"message": {"role": "user", "content": "0"}})


def undo(client: LocalClient, session: str) -> None:
    client.call("POST", f"/api/sessions/{session}/undo", {})


def undo_and_say_it_again(client: LocalClient, session: str) -> None:
    undo(client, session)
    talk(client, session, "two")


def go_on(client: LocalClient, session: str) -> None:
    talk(client, session, "there")


@pytest.mark.parametrize("deed", [edit, undo, undo_and_say_it_again, go_on])
def test_the_model_is_told_what_is_stored(
    two: tuple[Server, Server], model: OfflineServer, deed: Callable[[LocalClient, str], None]
) -> None:
    here, there = map(LocalClient, two)
    session = here.new_session()
    talk(here, session, "one", "two")
    deed(there, session)
    talk(here, session, "last")
    stored = [block["text"] for row in two[0].store.sessions.messages(session) for block in row.content]
    assert words(model.requests[-1]) == stored[:-1]
    talk(here, session, "again")
    assert words(model.requests[-1])[: len(stored)] == stored


def test_the_next_run_decodes_only_what_is_new(
    two: tuple[Server, Server], model: OfflineServer, decoded: list[Message]
) -> None:
    here, there = map(LocalClient, two)
    session = here.new_session()
    talk(here, session, "one", "two", "three")
    decoded.clear()
    talk(here, session, "four")
    assert [row.position for row in decoded] == [5, 6]
    decoded.clear()
    talk(there, session, "five", "six")
    assert len(decoded) == 9 + 11


def test_a_run_that_fails_leaves_nothing(two: tuple[Server, Server], model: OfflineServer) -> None:
    here, kept = LocalClient(two[0]), two[0].runtime.kept
    session, before = here.new_session(), kept.bytes
    talk(here, session, "one")
    assert kept.bytes > before
    here.say(session, "[fail 400]")
    here.wait_until_free(session)
    assert kept.bytes == before


def test_a_deleted_session_is_forgotten(two: tuple[Server, Server], model: OfflineServer) -> None:
    here, kept = LocalClient(two[0]), two[0].runtime.kept
    session, before = here.new_session(), kept.bytes
    talk(here, session, "one")
    here.call("DELETE", f"/api/sessions/{session}")
    assert kept.bytes == before


def test_no_run_changes_what_is_kept(two: tuple[Server, Server], model: OfflineServer) -> None:
    """The messages of a run are shared with the next one: what is in them must stay as it was decoded."""
    here, kept = LocalClient(two[0]), two[0].runtime.kept
    session = here.new_session()
    talk(here, session, "one", "two")
    rows = kept.take(session).rows
    assert rows.messages == DecodedRows().renewed(rows.raw).messages
