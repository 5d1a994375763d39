"""A session that somebody else left broken can be used: the next message works, and so does the one after."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server
from app.store.row_mapping import dump, load_optional
from app.store.tables import messages
from tests.corpus.broken import Broken, all_broken, insert_rows
from tests.harness.in_process import LocalClient

CORPUS = all_broken()


def shown(model: OfflineServer) -> str:
    """All that the model was shown in its last request."""
    return dump(model.requests[-1]["messages"])


def works(client: LocalClient, session: str, agent: str, word: str) -> None:
    events = client.say(session, f"[say {word}]", agent=agent)
    assert [event for event in events if event["type"] == "error"] == []
    said = "".join(event["content"] for event in events if event["type"] == "agent_choice")
    assert said == word


def test_the_corpus_names_many_public_issues() -> None:
    assert len({one.issue for one in CORPUS}) >= 25
    assert [one.name for one in CORPUS] == [file_name(one.issue) for one in CORPUS]


def file_name(issue: str) -> str:
    return issue.replace("/", "-").replace("#", "-").lower()


@pytest.mark.parametrize("broken", CORPUS, ids=[one.name for one in CORPUS])
def test_the_next_message_works_and_so_does_the_one_after(
    server: Server, model: OfflineServer, broken: Broken
) -> None:
    client = LocalClient(server)
    for agent in ("tools", "plain"):  # with tools and without any
        session = client.new_session()
        insert_rows(server.store, session, broken.rows)
        works(client, session, agent, "hello")
        works(client, session, agent, "again")
        assert "again" in shown(model)
        for row in broken.rows:
            for text in user_words(row.content) if row.role == "user" else ():
                assert dump(text) in shown(model), "what a person said is never dropped"


def user_words(blocks: tuple[dict[str, Any], ...]) -> list[str]:
    return [block["text"] for block in blocks if block["type"] == "text" and block["text"].strip()]


def test_all_of_the_corpus_in_one_session_is_healed_too(server: Server, model: OfflineServer) -> None:
    """One after the other, with a message of ours in between: the worst history there can be."""
    client = LocalClient(server)
    session = client.new_session()
    for broken in CORPUS:
        insert_rows(server.store, session, broken.rows)
        works(client, session, "tools", "on")


def test_b7_thinking_that_was_edited_costs_one_refused_request_and_no_more(
    server: Server, stand_in: OfflineServer
) -> None:
    """Only the API can tell that a signature does not fit; it says so once, and that is remembered."""
    client = LocalClient(server)
    stand_in.reset()
    session = client.new_session()
    client.say(session, "[think first][say one]", agent="tools")
    edit_thinking(server, session)
    works(client, session, "tools", "two")
    assert len(stand_in.violations) == 1
    works(client, session, "tools", "three")
    works(client, session, "tools", "four")
    assert len(stand_in.violations) == 1
    stand_in.reset()


def edit_thinking(server: Server, session_id: str) -> None:
    here = (messages.c.session_id == session_id) & (messages.c.role == "assistant")
    with server.store.database.writing() as connection:
        row = connection.execute(select(messages).where(here)).one()
        content = load_optional(row.content_json)
        assert content[0]["type"] == "thinking"
        content[0]["thinking"] = "Something else."
        connection.execute(update(messages).where(here).values(content_json=dump(content)))
