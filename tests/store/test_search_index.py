"""The index of words follows what is stored, whoever writes at the same time."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from app.conversation.blocks import text_block
from app.conversation.search_words import SearchQuery, excerpt, words_of
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.store import search_index
from app.store.store import Store
from app.store.tables import search_entries
from tests.harness.process import eventually
from tests.store.actors import begin, new_session


def told(store: Store, name: str, *texts: str) -> None:
    rows = [Message("user", (text_block(one),)) for one in texts]
    store.sessions.create(Session(name), transcript=rows)


def index(store: Store) -> None:
    while store.search_index.step():
        pass


def found(store: Store, words: str) -> list[tuple[str, int | None]]:
    return [(hit.session_id, hit.position) for hit in store.search.find(SearchQuery.parse(words), limit=50)]


def test_what_is_deleted_while_it_is_indexed_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(store)
    told(store, "race", "gooseberry")
    was_read, go_on = threading.Event(), threading.Event()
    read = search_index._read

    def slowly(*given: Any) -> Any:
        words = read(*given)
        if not was_read.is_set():
            was_read.set()
            assert go_on.wait(20)
        return words

    def delete() -> None:
        store.sessions.delete("race")
        index(store)

    monkeypatch.setattr(search_index, "_read", slowly)
    indexing, deleting = threading.Thread(target=lambda: index(store)), threading.Thread(target=delete)
    indexing.start()
    assert was_read.wait(20)
    deleting.start()
    if store.database.kind != "sqlite":  # there it waits for the other's end
        eventually(lambda: store.sessions.missing(["race"]), "it is deleted while somebody indexes it")
    assert indexing.is_alive()
    assert deleting.is_alive()
    go_on.set()
    indexing.join(20)
    deleting.join(20)
    assert not indexing.is_alive()
    assert not deleting.is_alive()
    index(store)
    with store.database.reading() as connection:
        rows = connection.execute(search_entries.select().where(search_entries.c.session_id == "race"))
        assert rows.all() == []


def test_whatever_writes_is_followed_also_a_program_that_knows_no_index(store: Store) -> None:
    told(store, "plain-sql", "damson one", "damson two")
    index(store)
    with store.database.writing() as connection:
        words = '[{"type":"text","text":"greengage"}]'
        of_it = "WHERE session_id = 'plain-sql' AND position ="
        connection.execute(text(f"UPDATE messages SET content_json = :words {of_it} 0"), {"words": words})
        connection.execute(text(f"DELETE FROM messages {of_it} 1"))
        connection.execute(text("UPDATE sessions SET title = 'A loquat' WHERE id = 'plain-sql'"))
    assert found(store, "damson") == []
    index(store)
    assert found(store, "greengage") == [("plain-sql", 0)]
    assert found(store, "loquat") == [("plain-sql", None)]


def test_a_withdrawn_run_is_not_found(store: Store) -> None:
    session = new_session(store)
    begun = begin(store, session.id, "whortleberry")
    index(store)
    assert found(store, "whortleberry") == [(session.id, 0)]
    store.claims.withdraw(begun)
    assert found(store, "whortleberry") == []


def test_a_copy_is_found_beside_its_parent(store: Store) -> None:
    told(store, "parent", "mirabelle")
    store.forks.fork("parent", "copy", created_at=1.0, owner="", before=None)
    index(store)
    assert {place[0] for place in found(store, "mirabelle")} == {"parent", "copy"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Straße ÉTÉ e\u0301te\u0301", "strasse ete ete"),
        ("a_b-c.d/e", "a b c d e"),
        ("x" * 200, "x" * 64),
        ("東京 tower", "東 京 tower"),
        ("한국어", "한국어"),
        ("½ ① ﷺ ff", "12 1 صلىاللهعليهوسلم ff"),
        ("\0 \ud800 'quoted' \"q\" & | ! ( ) : *", "quoted q"),
    ],
)
def test_words_are_letters_and_digits_alone(said: str, words: str) -> None:
    assert words_of(said) == words
    query = SearchQuery.parse(said.replace('"', ""))
    assert query.find(said) is not None


def test_an_excerpt_is_one_line_round_the_first_word_that_was_found() -> None:
    said = "before " * 40 + "one\n\ttwo " + "after " * 60 + "three"
    spans = SearchQuery.parse('"one two" three').find(said)
    assert spans is not None
    shown = excerpt(said, spans)
    ((begins, ends),) = shown["marks"]
    assert shown["excerpt"][begins:ends] == "one  two"
    assert shown["excerpt"].startswith("…before")
    assert shown["excerpt"].endswith("…")
    assert "\n" not in shown["excerpt"]
