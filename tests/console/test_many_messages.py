"""A long conversation is opened, read and added to without all of it being in the document."""

from __future__ import annotations

import time

from app.conversation.transcript import Message
from app.store.engine import Database
from app.store.session_rows import append_messages
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

MANY = 3000
MOST_SHOWN = 160


def fill(baton: BatonProcess, session_id: str) -> None:
    """Questions and answers, numbered."""
    now = time.time()
    rows = [
        Message(
            "assistant" if number % 2 else "user",
            ({"type": "text", "text": f"Message **{number}**, with `code` and\n\n- a list\n- of two"},),
            agent="root" if number % 2 else "",
            created_at=now,
        )
        for number in range(MANY)
    ]
    database = Database(f"sqlite:///{baton.directory / 'baton.db'}")
    with database.writing() as connection:
        append_messages(connection, session_id, rows, None)
    database.close()


def test_thousands_of_messages_are_a_window_that_moves(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    session = http.new_session()
    fill(shared_baton, session)
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", f"Message {MANY - 1}")
    assert tab.count(".message") <= MOST_SHOWN
    assert tab.count("#main *") < 20 * MOST_SHOWN
    tab.press("\ue011")  # Home
    tab.wait_for_text(".message.assistant", "Message 1,")
    assert "later" in tab.text(".edge:not([hidden])")
    read_on = (
        "const pane = document.querySelector('.transcript'); pane.scrollTop = pane.scrollHeight;"
        " return document.querySelectorAll('.message').length"
    )

    def further() -> bool:
        assert int(tab.script(read_on)) <= MOST_SHOWN
        return "Message 401," in tab.text(".message.assistant")

    eventually(further, "scrolling reaches what comes later", seconds=20)
    assert "Message 1," not in tab.text(".message.assistant")
    tab.press("\ue010")  # End
    tab.wait_for_text(".message.assistant", f"Message {MANY - 1}")
    tab.say("[say one more]")
    tab.wait_for_text(".message.assistant", "one more")
    assert tab.count(".message") <= MOST_SHOWN


def test_who_reads_what_is_earlier_is_not_moved_by_what_arrives(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    session = http.new_session()
    fill(shared_baton, session)
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", f"Message {MANY - 1}")
    tab.script("document.querySelector('.transcript').scrollTop -= 2000")
    first_seen = (
        "const top = document.querySelector('.transcript').getBoundingClientRect().top;"
        " const all = [...document.querySelectorAll('.message')];"
        " const node = all.find((one) => one.getBoundingClientRect().bottom > top);"
        " return [node.textContent, Math.round(node.getBoundingClientRect().top)]"
    )
    tab.shown(".to-end")
    before = tab.script(first_seen)
    http.say(session, "[words 300]")
    tab.wait_for_text(".head .chip", "Free")
    assert tab.script(first_seen) == before
    tab.click(".to-end")
    tab.wait_for_text(".message.assistant", "please look into this")
