"""Long lists: the whole answer is the contract's, page by page it is the same, and neither is held at once."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import StoreUnavailable
from app.factory import Server
from app.web.json_streaming import PAGE
from tests.store.actors import begin

MANY = 2 * PAGE + 7


@pytest.fixture(scope="module")
def talk(quiet: Server) -> str:
    """A session with more messages than a page has."""
    session = Session(id=str(uuid.uuid4()), created_at=5.0, owner="")
    quiet.store.sessions.create(session)
    baton = begin(quiet.store, session.id, *(f"message {number}" for number in range(MANY))).run.baton
    quiet.store.runs.finish(baton, "finished")
    return session.id


@pytest.fixture(scope="module")
def crowd(quiet: Server) -> None:
    """More sessions than a page has, many of them of the same moment."""
    for number in range(MANY):
        quiet.store.sessions.create(Session(id=f"crowd-{number:04}", created_at=1.0 + number // 5, owner=""))


def texts(answer: dict[str, Any]) -> list[str]:
    return [one["message"]["content"] for one in answer.get("messages", [])]


def test_a_session_is_shown_with_all_its_messages_though_they_are_read_in_pages(
    http: FlaskClient, talk: str
) -> None:
    answer = http.get(f"/api/sessions/{talk}").get_json()
    assert texts(answer) == [f"message {number}" for number in range(MANY)]
    assert list(answer)[:3] == ["id", "title", "messages"]
    assert "first_position" not in answer
    assert orjson.loads(http.get(f"/api/sessions/{talk}?pretty").data) == answer


def test_no_more_than_a_page_of_messages_is_read_at_once(
    http: FlaskClient, quiet: Server, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    read = quiet.store.sessions.page_of_messages

    def counting(session_id: str, **bounds: int) -> list[Message]:
        page = read(session_id, **bounds)
        sizes.append(len(page))
        return page

    monkeypatch.setattr(quiet.store.sessions, "page_of_messages", counting)
    response = http.get(f"/api/sessions/{talk}", buffered=False)
    chunks = [len(chunk) for chunk in response.iter_encoded()]
    assert sizes == [PAGE, PAGE, 7]
    assert len(chunks) >= 3


def test_the_newest_messages_and_those_before_them_can_be_asked_for(http: FlaskClient, talk: str) -> None:
    newest = http.get(f"/api/sessions/{talk}?limit=3").get_json()
    assert texts(newest) == [f"message {number}" for number in range(MANY - 3, MANY)]
    assert newest["first_position"] == MANY - 3
    older = http.get(f"/api/sessions/{talk}?limit=2&before={newest['first_position']}").get_json()
    assert texts(older) == [f"message {MANY - 5}", f"message {MANY - 4}"]
    assert texts(http.get(f"/api/sessions/{talk}?limit=10&before=0").get_json()) == []


def pages(http: FlaskClient, limit: int) -> Iterator[list[dict[str, Any]]]:
    path = f"/api/sessions?limit={limit}"
    while True:
        response = http.get(path)
        yield response.get_json()
        link = re.fullmatch(r'<(.*)>; rel="next"', response.headers.get("Link", ""))
        if link is None:
            return
        path = f"/api/{link[1]}"


@pytest.mark.usefixtures("crowd")
def test_the_pages_of_the_list_are_the_list(http: FlaskClient) -> None:
    whole = http.get("/api/sessions").get_json()
    assert len({one["id"] for one in whole}) == len(whole) >= MANY
    for limit in (50, len(whole), len(whole) + 1):
        assert list(itertools.chain.from_iterable(pages(http, limit))) == whole


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "after=x", "after=1", "after=1.0,a/b"])
def test_what_is_no_page_is_refused(http: FlaskClient, query: str) -> None:
    assert http.get(f"/api/sessions?{query}").status_code == 422


def test_a_database_that_is_away_is_still_a_refusal(
    http: FlaskClient, quiet: Server, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable()

    monkeypatch.setattr(quiet.store.sessions, "page_of_messages", away)
    monkeypatch.setattr(quiet.store.sessions, "summaries", away)
    for path in (f"/api/sessions/{talk}", "/api/sessions"):
        response = http.get(path)
        assert (response.status_code, response.get_json()["code"]) == (503, "store_unavailable")
