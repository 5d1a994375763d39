"""Buttons that copy code, messages and what tools gave."""

from __future__ import annotations

from typing import Final

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.wire import Client

CODE: Final = "if a < b:\n    print('yes')"

WITHOUT: Final = {
    "a clipboard that is denied": "navigator.clipboard.writeText = () => Promise.reject(new Error('denied'))",
    "a clipboard at all": "Object.defineProperty(navigator, 'clipboard', { value: undefined })",
}


@pytest.fixture
def session(http: Client) -> str:
    session = http.new_session(tools_approved=True)
    call = '{"cmd": "printf one; printf two"}'
    http.say(session, f"[call shell {call}] [then] [say All *done*]", agent="tools")
    return session


def copied(tab: Tab, name: str) -> str:
    """Presses the button by the keyboard; the text that can be pasted then."""
    button = tab.shown(f"button[aria-label='{name}']")
    tab.script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    tab.wait_for_text("#announcer", "Copied")
    assert button.get_attribute("aria-label") == button.text == "Copied"
    tab.script("document.getElementById('announcer').textContent = ''")
    box = tab.shown("#composer")
    box.clear()
    box.send_keys(Keys.CONTROL + "v")
    return str(box.get_attribute("value"))


@pytest.mark.parametrize("without", WITHOUT)
def test_code_messages_and_output_are_copied_without(
    open_tab: OpenTab, session: str, http: Client, without: str
) -> None:
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "All done")
    tab.script(WITHOUT[without])
    assert copied(tab, "Copy message").startswith("[call shell")
    tab.click(".call summary")
    assert copied(tab, "Copy output") == "onetwo"
    assert '"cmd": "printf one; printf two"' in copied(tab, "Copy arguments")
    tab.script(
        "return import('./console/markdown.js').then(({ MarkdownView }) => {"
        " const view = new MarkdownView(); view.update('~~~py\\n' + arguments[0] + '\\n~~~');"
        " document.querySelector('.items').append(view.node) })",
        CODE,
    )
    assert copied(tab, "Copy code") == CODE


def test_a_message_of_ones_own_is_markdown_with_its_lines_kept(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    http.say(session, "[say ok]\n**bold**\n`code` <b>x</b>\n\n- a\n- b\n\n[note]: https://example.org/x")
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.user strong", "bold")
    assert tab.count(".message.user br") == 2
    assert tab.count(".message.user li") == 2
    assert tab.count(".message.user b") == 0
    assert "<b>x</b>" in tab.text(".message.user")
    assert "[note]: https://example.org/x" in tab.text(".message.user")
