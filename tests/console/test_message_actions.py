"""What a person does with one message: fork behind it, say it otherwise, retry its answer, go back to before it."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client


@pytest.fixture
def session(http: Client) -> str:
    session = http.new_session(tools_approved=True)
    for word in ("one", "two", "three"):
        http.say(session, f"[say {word}]")
    return session


def said(client: Client, session: str) -> list[str]:
    return [one["content"] for one in client.messages(session)]


def ids_of(client: Client, session: str) -> list[str]:
    snapshot = client.get(f"/api/sessions/{session}/snapshot").json()
    return [one["message"]["message_id"] for one in snapshot["messages"]]


def take_back(client: Client, session: str, index: int) -> None:
    answer = client.post(f"/api/sessions/{session}/undo", {"user_message_index": index})
    assert answer.status_code == 200, answer.text


def act(tab: Tab, number: int, name: str) -> None:
    """Opens the menu of that message, counted from 0, and chooses, all by the keyboard."""
    tab.shown(".message")
    summary = tab.script("return document.querySelectorAll('.message .acts summary')[arguments[0]]", number)
    tab.script("arguments[0].focus()", summary)
    summary.send_keys(Keys.ENTER)
    tab.shown(".acts[open] .menu-items button")
    names = tab.text(".acts[open] .menu-items button").split("\n")
    for _ in range(names.index(name) + 1):
        tab.see().switch_to.active_element.send_keys(Keys.TAB)
    assert tab.script("return document.activeElement.textContent") == name
    tab.see().switch_to.active_element.send_keys(Keys.ENTER)


def words(tab: Tab) -> list[str]:
    found = "return [...document.querySelectorAll('.message .markdown')].map((one) => one.textContent.trim())"
    return [str(one) for one in tab.script(found)]


def wait_for_words(tab: Tab, *wanted: str) -> None:
    eventually(lambda: words(tab) == list(wanted), f"the page shows {wanted}, and not {words(tab)}")


def confirm(tab: Tab, text: str, name: str) -> None:
    tab.wait_for_text("dialog p", text)
    tab.click_button(name, within="dialog")
    tab.wait_until_gone("dialog")


ALL = ("[say one]", "one", "[say two]", "two", "[say three]", "three")


def test_a_fork_ends_with_the_message(open_tab: OpenTab, session: str, http: Client) -> None:
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    tab.script("localStorage.setItem('baton.agent', 'tools')")
    act(tab, 3, "Fork from here")
    wait_for_words(tab, *ALL[:4])
    assert tab.session_id != session
    assert tab.shown("select.agent").get_attribute("value") == "plain"
    assert said(http, session) == list(ALL)
    tab.say("[say on]")
    wait_for_words(tab, *ALL[:4], "[say on]", "on")


def test_a_message_is_said_otherwise_and_other_tabs_see_it(
    open_tab: OpenTab, session: str, http: Client
) -> None:
    other = open_tab(f"#/session/{session}")
    tab = open_tab(f"#/session/{session}")
    for one in (other, tab):
        wait_for_words(one, *ALL)
    tab.write("half a draft")
    act(tab, 2, "Edit and send again…")
    tab.wait_for_text(".revising", "takes back this message and the 3 after it")
    field = tab.shown("#composer")
    assert field.get_attribute("value") == "[say two]"
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("value") == "half a draft"
    act(tab, 2, "Edit and send again…")
    field.send_keys(Keys.CONTROL + "a", Keys.DELETE)
    field.send_keys("[say other]" + Keys.ENTER)
    for one in (tab, other):
        wait_for_words(one, "[say one]", "one", "[say other]", "other")
    tab.wait_until_gone(".revising")
    assert field.get_attribute("value") == "half a draft"
    assert said(http, session) == ["[say one]", "one", "[say other]", "other"]


def test_what_was_said_on_this_page_is_taken_back_elsewhere(
    open_tab: OpenTab, session: str, http: Client
) -> None:
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    tab.say("[say four]")
    wait_for_words(tab, *ALL, "[say four]", "four")
    eventually(lambda: "run" not in http.session(session), "the run has ended")
    take_back(http, session, 2)
    http.say(session, "[say instead]")
    wait_for_words(tab, *ALL[:4], "[say instead]", "instead")


def test_going_back_asks_says_how_much_goes_and_gives_the_words_back(
    open_tab: OpenTab, session: str, http: Client
) -> None:
    other = open_tab(f"#/session/{session}")
    tab = open_tab(f"#/session/{session}")
    for one in (other, tab):
        wait_for_words(one, *ALL)
    act(tab, 2, "Back to before this…")
    tab.wait_for_text("dialog p", "This message and the 3 after it can’t be brought back.")
    tab.see().switch_to.active_element.send_keys(Keys.ESCAPE)
    tab.wait_until_gone("dialog")
    assert words(tab) == list(ALL)
    act(tab, 2, "Back to before this…")
    confirm(tab, "and the 3 after it", "Go back")
    for one in (tab, other):
        wait_for_words(one, "[say one]", "one")
    assert said(http, session) == ["[say one]", "one"]
    assert tab.shown("#composer").get_attribute("value") == "[say two]"


def test_an_answer_is_retried(open_tab: OpenTab, session: str, http: Client) -> None:
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    ids = ids_of(http, session)
    act(tab, 5, "Retry this answer")
    eventually(lambda: len(said(http, session)) == 6 and "run" not in http.session(session), "it is answered")
    wait_for_words(tab, *ALL)
    new = ids_of(http, session)
    assert new[:4] == ids[:4]
    assert not {*new[4:]} & {*ids}
    act(tab, 1, "Retry this answer")
    confirm(tab, "This message and the 5 after it are taken back", "Retry")
    wait_for_words(tab, "[say one]", "one")


def test_while_a_run_is_at_work_it_is_said_who_has_the_session(
    open_tab: OpenTab, session: str, http: Client, shared_baton: BatonProcess
) -> None:
    gate = Gate(shared_baton.directory, "acted")
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    with http.run(session, f"{gate.call} [then] [say done]", agent="tools") as stream:
        gate.wait_until_reached()
        act(tab, 2, "Fork from here")
        tab.wait_for_text(".composer .problem", "has the session")
        tab.wait_for_text(".composer .problem", "Nothing was changed")
        act(tab, 2, "Back to before this…")
        confirm(tab, "can’t be brought back", "Go back")
        tab.wait_for_text(".composer .problem", "Nothing was changed")
        gate.open()
        stream.rest()
    assert said(http, session)[:6] == list(ALL)
    gate.close()


def test_a_message_that_is_gone_says_so(open_tab: OpenTab, session: str, http: Client) -> None:
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    take_back(http, session, 1)
    act(tab, 4, "Fork from here")
    tab.wait_for_text(".composer .problem", "This message is gone")
    wait_for_words(tab, "[say one]", "one")


def test_the_up_arrow_changes_what_was_said_last(open_tab: OpenTab, session: str) -> None:
    tab = open_tab(f"#/session/{session}")
    wait_for_words(tab, *ALL)
    tab.shown("#composer").send_keys(Keys.ARROW_UP)
    assert tab.shown("#composer").get_attribute("value") == "[say three]"
    tab.wait_for_text(".revising", "this message and the 1 after it")


def test_on_a_phone_the_menu_is_there_and_within_the_page(open_tab: OpenTab, session: str) -> None:
    tab = open_tab()
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver = tab.see()
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    tab.open_session(session)
    wait_for_words(tab, *ALL)
    for number in (0, 1, 4):
        summary = tab.script(
            "return document.querySelectorAll('.message .acts summary')[arguments[0]]", number
        )
        assert tab.script("return getComputedStyle(arguments[0].parentNode).opacity", summary) == "1"
        summary.click()
        box = tab.shown(".acts[open] .menu-items").rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        summary.click()
