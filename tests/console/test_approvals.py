"""A person sees what a call would do to a file, changes its arguments, and approves it."""

from __future__ import annotations

import json

from selenium.webdriver.common.keys import Keys

from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess
from tests.harness.wire import Client

DONE = "[then][say done]"


def waiting(open_tab: OpenTab, http: Client, script: str) -> tuple[Tab, str]:
    """A page of a session whose run waits for an approval."""
    session = http.new_session()
    http.post(f"/api/sessions/{session}/agent/tools?stream=false", [{"content": script}])
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".question", "wants to call")
    return tab, session


def write(path: str, content: str) -> str:
    return f"[call write_file {json.dumps({'path': path, 'content': content})}]{DONE}"


def test_a_change_of_a_file_is_shown_line_by_line(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    file = shared_baton.directory / "shown.txt"
    file.write_text("".join(f"line {number}\n" for number in range(1, 10)))
    text = file.read_text().replace("line 5", "li\u202ene five")
    tab, session = waiting(open_tab, http, write("shown.txt", text))
    tab.wait_for_text(".question .preview .file", "Changes shown.txt +1 −1")
    rows = tab.script(
        "return [...document.querySelectorAll('.diff tr')].map((row) =>"
        " [row.className, ...[...row.cells].map((cell) => cell.textContent)])"
    )
    assert ["removed", "5", "", "removed−", "line 5"] in rows
    assert ["added", "", "5", "added+", "li⟦U+202E⟧ne five"] in rows
    assert ["same", "4", "4", "", "line 4"] in rows
    assert len(rows) == 8
    colours = {
        kind: tab.script(
            f"return getComputedStyle(document.querySelector('.diff .{kind} td')).backgroundColor"
        )
        for kind in ("added", "removed", "same")
    }
    assert len(set(colours.values())) == 3
    assert tab.shown(".diff").get_attribute("aria-label") == "The change to shown.txt"
    http.resume(session, "reject")


def test_arguments_are_changed_by_keyboard_alone(open_tab: OpenTab, http: Client) -> None:
    tab, session = waiting(open_tab, http, write("wrong.txt", "hello\r\n"))
    tab.press("e")
    tab.shown(".edited textarea")
    labels = tab.script(
        "return [...document.querySelectorAll('.edited label')].map((one) => one.textContent)"
    )
    assert labels[:2] == ["path", "content"]
    field = tab.see().switch_to.active_element
    field.send_keys(Keys.CONTROL + "a")
    field.send_keys("right.txt")
    field.send_keys(Keys.CONTROL + Keys.ENTER)
    tab.wait_for_text(".head .chip", "Free")
    result = next(message for message in http.messages(session) if message["role"] == "tool")
    assert "A person changed the arguments" in result["content"]
    assert "File written successfully: right.txt (7 bytes)" in result["content"], "what was not touched stays"


def test_what_does_not_fit_is_told_and_the_question_stays(open_tab: OpenTab, http: Client) -> None:
    tab, session = waiting(open_tab, http, f'[call shell {{"cmd": "echo own"}}]{DONE}')
    tab.click_button("Edit…")
    tab.click_button("Edit as JSON")
    text = tab.shown(".edited textarea")
    text.send_keys(Keys.CONTROL + "a")
    text.send_keys('{"cmd": 5')
    tab.click_button("Approve with changes")
    tab.wait_for_text(".edited .problem", "This is not JSON")
    text.send_keys("}")
    tab.click_button("Approve with changes")
    tab.wait_for_text(".question > .problem", "cmd must be a string")
    text.send_keys(Keys.CONTROL + "a")
    text.send_keys('{"cmd": "forbidden"}')
    tab.click_button("Approve with changes")
    tab.wait_for_text(".question > .problem", "denied")
    text.send_keys(Keys.ESCAPE)
    tab.wait_until_gone(".edited")
    tab.wait_for_text(".question .asked", "echo own")
    tab.press("a")
    tab.wait_for_text(".head .chip", "Free")
    assert [m["content"] for m in http.messages(session) if m["role"] == "tool"] == ["own"]


def test_nothing_is_wider_than_a_phone(open_tab: OpenTab, http: Client) -> None:
    tab, session = waiting(open_tab, http, write("wide.txt", "x" * 500 + "\n" + "word " * 100))
    tab.wait_for_text(".question .preview", "New file wide.txt")
    tab.see().set_window_size(390, 844)
    try:
        for selector in (".question", ".diff", ".edited"):
            if selector == ".edited":
                tab.press("e")
            tab.shown(selector)
            wide = tab.script(
                "const one = document.querySelector(arguments[0]);"
                " return one.scrollWidth - one.clientWidth + document.documentElement.scrollWidth - innerWidth",
                selector,
            )
            assert wide <= 0, selector
    finally:
        tab.see().set_window_size(1200, 800)
    http.resume(session, "reject")
