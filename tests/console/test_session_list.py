"""The list of sessions, and what is found in them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.store.engine import Database
from app.store.search_index import SearchIndex
from app.store.session_rows import add_session, append_messages
from tests.conftest import AGENTS
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

MANY = 3000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    """A server with thousands of sessions, of which the highest numbers are the newest."""
    with BatonProcess(tmp_path_factory.mktemp("full"), model_url=stand_in.url, agents=AGENTS) as process:
        database = Database(f"sqlite:///{process.directory / 'baton.db'}")
        now = time.time()
        with database.writing() as connection:
            for number in range(MANY):
                made = now - 60 * (MANY - number)
                add_session(connection, Session(f"s-{number}", created_at=made, title=f"Session {number}"))
            said = [
                Message("user" if at % 2 == 0 else "assistant", (text_block(f"Row {at} of it"),))
                for at in range(400)
            ]
            said[123] = Message("assistant", (text_block("Here the **heliotrope** grows."),))
            append_messages(connection, "s-7", said, None)
        index = SearchIndex(database)
        while index.step():
            pass
        database.close()
        yield process


@pytest.fixture
def http_full(full: BatonProcess) -> Iterator[Client]:
    client = Client(full.url)
    yield client
    client.close()


def test_thousands_of_sessions_come_page_by_page_as_one_scrolls(
    open_tab: OpenTab, full: BatonProcess
) -> None:
    tab = open_tab(url=full.url)
    tab.wait_for_text(".sessions .name", f"Session {MANY - 1}")
    assert tab.count(".sessions li") <= 120

    def at_the_end(wanted: str) -> bool:
        tab.script("const list = document.querySelector('.sessions'); list.scrollTop = list.scrollHeight")
        return wanted in tab.text(".sessions li:last-child .name")

    eventually(lambda: at_the_end("Session 0"), "the oldest has come", seconds=60)
    names = tab.text(".sessions .name").split("\n")
    assert names == [f"Session {number}" for number in reversed(range(MANY))]


def test_what_is_typed_filters_titles_at_once_and_finds_messages_by_keyboard_alone(
    open_tab: OpenTab, full: BatonProcess
) -> None:
    tab = open_tab(url=full.url)
    tab.wait_for_text(".sessions .name", f"Session {MANY - 1}")
    tab.press("/")
    tab.shown("#sidebar .filter").send_keys("session 29")
    assert "Session 2999" in tab.text(".sessions .name")
    tab.shown("#sidebar .filter").send_keys(Keys.CONTROL + "a")
    tab.shown("#sidebar .filter").send_keys("session 11")
    tab.wait_for_text(".sessions .name", "Session 11")  # which was in no page yet
    tab.shown("#sidebar .filter").send_keys(Keys.CONTROL + "a")
    tab.shown("#sidebar .filter").send_keys("heliotr")
    tab.wait_for_text(".sessions .hit mark", "heliotrope")
    tab.wait_for_text(".sessions .heading", "In messages")
    tab.shown("#sidebar .filter").send_keys(Keys.ARROW_DOWN)
    tab.see().switch_to.active_element.send_keys(Keys.ENTER)
    tab.wait_for_text(".aimed", "Here the heliotrope grows.")
    assert tab.script("return location.hash") == "#/session/s-7/123"
    eventually(lambda: tab.script("return document.title") == "Session 7 – Baton", "the title is known")
    box = tab.script(
        "const box = document.querySelector('.aimed').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    height = tab.script("return innerHeight")
    assert 0 < box[0] < box[1] < height
    tab.press("/")
    tab.shown("#sidebar .filter").send_keys(Keys.CONTROL + "a")
    tab.shown("#sidebar .filter").send_keys("zzznothing")
    tab.wait_for_text("#sidebar .rest", "Nothing like that was found.")
    tab.shown("#sidebar .filter").send_keys(Keys.ESCAPE)
    tab.wait_for_text(".sessions .name", f"Session {MANY - 1}")


def test_who_is_waited_for_comes_first_then_who_runs_then_who_was_active_last(
    open_tab: OpenTab, full: BatonProcess, http_full: Client, model: OfflineServer
) -> None:
    tab = open_tab(url=full.url)
    tab.wait_for_text(".sessions li:first-child .name", f"Session {MANY - 1}")
    http_full.post("/api/sessions/s-20/agent/plain?stream=false", [{"content": "hello"}])
    tab.wait_for_text(".sessions li:first-child .name", "Session 20")
    tab.wait_for_text(".sessions li:first-child .meta", "plain")
    http_full.post(
        "/api/sessions/s-30/agent/plain?stream=false", [{"content": "[words 20] [hold 5 times 1]"}]
    )
    http_full.post(
        "/api/sessions/s-10/agent/tools?stream=false", [{"content": '[call shell {"cmd":"true"}]'}]
    )
    http_full.post("/api/sessions/s-20/agent/plain?stream=false", [{"content": "hello again"}])

    def first() -> list[str]:
        return tab.text(".sessions .name").split("\n")[:4]

    wanted = ["Session 10", "Session 30", "Session 20", f"Session {MANY - 1}"]
    eventually(lambda: first() == wanted, f"{wanted} come first", seconds=20)
    tab.wait_for_text(".sessions li:first-child .meta", "Needs approval")
    assert tab.script("return document.title").startswith("(1) ")
    model.release()
    for session in ("s-10", "s-30"):
        http_full.post(f"/api/sessions/{session}/cancel?wait_timeout=10")
