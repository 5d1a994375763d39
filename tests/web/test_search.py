"""Search in what was said: by words, within what the caller may see, and never in what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.conversation.search_words import MAX_RESULT
from app.factory import Server, build
from app.store.search_index import BITE, SearchIndex
from app.store.tables import search_entries
from tests.conftest import KINDS, held_by, make_settings
from tests.harness.in_process import LocalClient
from tests.harness.postgres import PostgresServer
from tests.harness.process import eventually

NAMES = ("ann", "bob", "ops/operator", "eye/readonly")


def token_of(name: str) -> str:
    return f"token-of-{name.partition('/')[0]}-0123456789"


@pytest.fixture(scope="module", params=KINDS)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer
) -> Iterator[Server]:
    tokens = tuple((name, token_of(name)) for name in NAMES)
    more: dict[str, Any] = {"auth_tokens": tokens}
    if request.param != "sqlite":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        more["database_url"] = postgres.new_database()
    built = build(make_settings(tmp_path_factory.mktemp("search"), stand_in.url, **more))
    yield built
    built.close()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(shared: Server) -> Iterator[None]:
    """The server lives as long as the module."""
    yield
    eventually(lambda: not held_by(shared), f"the server has let go of {held_by(shared)}")


@pytest.fixture
def ann(shared: Server, model: OfflineServer) -> LocalClient:
    return LocalClient(shared, token=token_of("ann"))


def client_of(server: Server, name: str) -> LocalClient:
    return LocalClient(server, token=token_of(name))


def told(client: LocalClient, *texts: str, title: str = "", **more: Any) -> str:
    """A session in which that was said."""
    messages = [{"role": "user", "content": text} for text in texts]
    made = client.call("POST", "/api/sessions/import", {"title": title, "messages": messages, **more})
    return str(made["id"])


def search(client: LocalClient, words: str, more: str = "") -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = client.call("GET", f"/api/sessions/search?q={quote_plus(words)}{more}")
    return hits


def found(client: LocalClient, words: str) -> list[tuple[str, int | None]]:
    return [(hit["session_id"], hit.get("position")) for hit in search(client, words)]


def test_a_run_is_found_by_what_was_asked_said_and_done(ann: LocalClient) -> None:
    session = ann.new_session(title="Repairs of the pier")
    ann.say(
        session,
        '[call think {"thought": "zinc plating"}] [then] [say Galvanised bolts.] mooring',
        agent="tools",
    )
    roles = [message["role"] for message in ann.messages(session)]
    assert found(ann, "mooring") == [(session, 0)]
    assert found(ann, "galvanised") == [(session, 0), (session, roles.index("assistant", 2))][::-1]
    assert found(ann, "repairs pier") == [(session, None)]
    (hit,) = search(ann, "mooring")
    assert (hit["role"], hit["title"], hit["owner"]) == ("user", "Repairs of the pier", "ann")
    ((begin, end),) = hit["marks"]
    assert hit["excerpt"][begin:end] == "mooring"


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("WEATHERGLASS", True),
        ("weathergl", True),
        ("weathergl ", False),
        ('"weathergl"', False),
        ("creme brulee", True),
        ('"brûlée weatherglass"', True),
        ('"weatherglass brûlée"', False),
        ("weatherglass brûlée", True),
        ("src/weather_main.py", True),
        ("main.py", True),
        ("晴雨", True),
        ("雨晴", False),
        ("weatherglass nothing", False),
        ('weatherglass "', True),
        ("weatherglass OR AND NOT", False),
        ("words:weatherglass* NEAR(", False),
        ("weatherglass' & | ! <-> :* \\ () ^ + -", True),
    ],
)
def test_words_and_phrases_and_nothing_that_breaks_a_query(
    ann: LocalClient, words: str, is_found: bool
) -> None:
    session = told(ann, "Crème brûlée, weatherglass: src/weather_main.py 晴雨計")
    assert ((session, 0) in found(ann, words)) is is_found


@pytest.mark.parametrize("words", ["", " ", '"', '""', "* - ( )", "'", "\\", "_", "\u0301"])
def test_a_query_without_words_finds_nothing(ann: LocalClient, words: str) -> None:
    told(ann, "something")
    assert search(ann, words) == []


def test_nobody_finds_what_he_may_not_see(shared: Server, ann: LocalClient) -> None:
    session = told(ann, "the combination is periwinkle", title="periwinkle safe")
    bob = client_of(shared, "bob")
    own = told(bob, "periwinkle of my own")
    assert found(bob, "periwinkle") == [(own, 0)]
    assert {place[0] for place in found(ann, "periwinkle")} == {session}
    for name in ("ops", "eye"):
        assert {place[0] for place in found(client_of(shared, name), "periwinkle")} == {session, own}
    assert client_of(shared, "nobody").ask("GET", "/api/sessions/search?q=periwinkle").status_code == 401


def test_what_is_gone_or_changed_is_not_found_from_that_moment(shared: Server, ann: LocalClient) -> None:
    session = told(ann, "marmalade one", "marmalade two", "marmalade three", title="marmalade")
    assert (
        found(ann, "marmalade") == [(session, at) for at in (2, 1, 0, None)]
        or len(found(ann, "marmalade")) == 4
    )
    ann.call("PATCH", f"/api/sessions/{session}/title", {"title": "quince"})
    ann.call(
        "PATCH", f"/api/sessions/{session}/messages/0", {"message": {"role": "user", "content": "quince"}}
    )
    assert sorted(found(ann, "marmalade")) == [(session, 1), (session, 2)]
    assert {place[1] for place in found(ann, "quince")} == {None, 0}
    ann.call("POST", f"/api/sessions/{session}/undo", {"user_message_index": 1})
    assert found(ann, "marmalade") == []
    ann.call("DELETE", f"/api/sessions/{session}")
    assert found(ann, "quince") == []
    index = shared.store.search_index
    while index.step():
        pass
    with shared.store.database.reading() as connection:
        rows = connection.execute(search_entries.select().where(search_entries.c.session_id == session))
        assert not rows.all(), "nothing of it is kept"


def test_a_stale_index_is_not_believed(
    shared: Server, ann: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a change and the index that follows it."""
    session = told(ann, "persimmon one", "persimmon two", title="persimmon")
    assert len(found(ann, "persimmon")) == 3
    monkeypatch.setattr(SearchIndex, "step_new", lambda _: False)
    monkeypatch.setattr(SearchIndex, "step", lambda _: False)
    ann.call("POST", f"/api/sessions/{session}/undo", {"user_message_index": 1})
    ann.call("PATCH", f"/api/sessions/{session}/title", {"title": "medlar"})
    assert found(ann, "persimmon") == [(session, 0)]
    ann.call("DELETE", f"/api/sessions/{session}")
    assert found(ann, "persimmon") == []


def test_pages_by_key(ann: LocalClient) -> None:
    session = told(ann, *(f"tangerine {number}" for number in range(7)))
    path, seen = "search?q=tangerine&limit=3", []
    while path:
        response = ann.ask("GET", f"/api/sessions/{path}")
        seen.append([hit["position"] for hit in response.get_json()])
        link = response.headers.get("Link", "")
        path = link[1:].partition(">")[0] + "&q=tangerine" if link else ""
    assert seen == [[6, 5, 4], [3, 2, 1], [0]]
    assert len(found(ann, "tangerine")) == 7
    assert session


def test_a_long_result_is_found_by_its_beginning(ann: LocalClient) -> None:
    text = f"cardamom {'filling ' * MAX_RESULT} turmeric"
    call = {"type": "tool_use", "id": "toolu_1", "name": "shell", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    session = ann.call("POST", "/api/sessions/import", {"messages": messages})["id"]
    assert found(ann, "cardamom") == [(session, 2)]
    assert found(ann, "turmeric") == []


def test_what_was_there_before_is_found_bit_by_bit_behind_what_is_new(
    shared: Server, ann: LocalClient
) -> None:
    """As after an upgrade: what is there is named by session alone."""
    store = shared.store
    old = told(ann, *(f"elderflower {number}" for number in range(BITE + 10)), title="elderflower")
    while store.search_index.step():
        pass
    off = SearchIndex(store.database, enabled=False)
    ann.call("PATCH", f"/api/sessions/{old}/title", {"title": "elderflower cordial"})
    with store.database.writing() as connection:
        connection.execute(search_entries.delete().where(search_entries.c.session_id == old))
    assert off.step_new()  # a server without the index puts the session on the backlog
    assert not off.step()
    new = told(ann, "elderflower anew")
    assert found(ann, "elderflower") == [(new, 0)]
    assert store.search_index.step()
    assert len(search(ann, "elderflower", "&limit=100")) == 1 + 1 + BITE
    while store.search_index.step():
        pass
    hits = [(hit["session_id"], hit.get("position")) for hit in search(ann, "elderflower", "&limit=100")]
    assert hits[0] == (new, 0)
    assert sorted(position for _, position in hits[1:] if position is not None) == list(range(BITE + 10))


@pytest.mark.parametrize("query", ["limit=x", "after=x", "q=" + "a" * 501])
def test_what_makes_no_sense_is_refused(ann: LocalClient, query: str) -> None:
    ann.call("GET", f"/api/sessions/search?{query}", expect=422)


def test_a_server_without_an_index_says_so(
    shared: Server, ann: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.store.search_index, "enabled", False)
    refused = ann.call("GET", "/api/sessions/search?q=x", expect=422)
    assert "BATON_SEARCH" in refused["message"]
