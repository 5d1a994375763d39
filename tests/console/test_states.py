"""What the console says of sessions that are not there, of what waits, and where the focus is."""

from __future__ import annotations

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client


def focused(tab: Tab) -> str:
    return str(
        tab.script("const one = document.activeElement; return one.id || one.ariaLabel || one.textContent")
    ).strip()


def test_an_unknown_session_says_so_and_takes_no_message(open_tab: OpenTab) -> None:
    tab = open_tab("#/session/nobody-knows-it")
    tab.wait_for_text("#main", "There is no such session")
    assert tab.count("#composer") == 0
    assert "deleted" not in tab.text(".head")
    tab.click("#main a")
    tab.shown("body[data-page='list']")


def test_a_session_that_is_deleted_while_it_is_read_keeps_the_draft(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    http.say(session, "[say something]")
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "something")
    tab.write("half a thought")
    tab.call("DELETE", f"api/sessions/{session}")
    tab.wait_for_text(".composer .problem", "This session was deleted")
    assert tab.shown("#composer").get_attribute("readonly")
    assert tab.shown("#composer").get_attribute("value") == "half a thought"
    tab.wait_until_gone(".composer button")
    tab.wait_for_text(".message.assistant", "something")


def test_a_session_that_is_deleted_while_its_run_is_at_work_takes_nothing_any_more(
    open_tab: OpenTab, http: Client, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.say("[words 50] [hold 5]")
    tab.wait_for_text(".message.assistant", "please")
    tab.call("DELETE", f"api/sessions/{session}")
    tab.wait_for_text(".composer .problem", "This session was deleted")
    stand_in.release()
    tab.wait_until_gone(".composer button")
    tab.wait_until_gone(".again")


def test_what_waits_after_a_stop_says_when_it_goes_and_can_be_sent(
    open_tab: OpenTab, http: Client, shared_baton: BatonProcess
) -> None:
    gate = Gate(shared_baton.directory, "stopped")
    session = http.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(f"{gate.call} [then] [say first thing]")
    gate.wait_until_reached()
    tab.say("[say what waited]")
    tab.wait_for_text(".queue li", "what waited")
    assert not tab.see().find_element(By.CSS_SELECTOR, ".queue .held").is_displayed()
    tab.press("s")
    tab.wait_for_text(".head .chip", "Free")
    tab.shown(".queue .held")
    tab.wait_for_text(".queue .held", "goes with your next message")
    tab.click_button("Send now", within=".queue")
    tab.wait_for_text(".message.assistant", "what waited")
    tab.wait_until_gone(".queue")
    gate.close()


def test_the_focus_goes_back_to_what_had_it(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    tab.click(".head .menu summary")
    for button in ("Rename…", "Delete…"):
        if not tab.script("return document.querySelector('.head .menu').open"):
            tab.click(".head .menu summary")
        tab.click_button(button, within=".head .menu")
        tab.shown("dialog")
        tab.script("return document.activeElement").send_keys(Keys.ESCAPE)
        tab.wait_until_gone("dialog")
        eventually(lambda: focused(tab) == "More", f"after {button} the menu has the focus")
    tab.write("a thought")
    tab.script("document.querySelector('#composer').focus()")
    tab.shown("#composer").send_keys(Keys.ESCAPE)
    assert focused(tab) == "Conversation"


def test_esc_leaves_a_question_to_what_had_the_focus_before(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say('[call shell {"cmd":"echo x"}]')
    tab.shown("#reason")
    tab.shown("#composer").click()
    tab.script("document.querySelector('#composer').blur(); document.querySelector('.transcript').focus()")
    tab.shown(".transcript").send_keys("x")
    assert focused(tab) == "reason"
    tab.shown("#reason").send_keys("why" + Keys.ESCAPE)
    assert focused(tab) == "Conversation"
    assert tab.shown("#reason").get_attribute("value") == "why"
    tab.press("a")
    tab.wait_for_text(".head .chip", "Free")


def test_on_a_phone_enter_is_a_new_line(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab()
    driver = tab.see()
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    tab.open_session(session)
    tab.shown('.session[data-connection="live"]')
    assert tab.shown("#composer").get_attribute("enterkeyhint") == "enter"
    tab.write("[say one]" + Keys.ENTER + "two")
    assert tab.shown("#composer").get_attribute("value") == "[say one]\ntwo"
    tab.click(".composer .round")
    tab.wait_for_text(".message.assistant", "one")


def test_calls_that_were_cut_say_so(open_tab: OpenTab, http: Client, stand_in: OfflineServer) -> None:
    session = http.new_session(tools_approved=True)
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say('[call shell {"cmd":"kill -9 $$"}] [call shell {"cmd":"exit 3"}] [then] [say done]')
    tab.wait_for_text(".message.assistant", "done")
    tab.wait_for_text('.call[data-state="ended"] .state', "Signal: killed")
    tab.wait_for_text('.call[data-state="ended"] .state', "Exit status 3")


def test_a_title_that_is_given_elsewhere_is_seen(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".head h1", "Untitled session")
    other = open_tab(f"#/session/{session}")
    other.shown('.session[data-connection="live"]')
    other.call("PATCH", f"api/sessions/{session}/title", {"title": "Given elsewhere"})
    tab.see()
    http.say(session, "[say something]")  # the list of sessions is read again after a run
    tab.wait_for_text(".head h1", "Given elsewhere")


def test_a_session_that_is_renamed_while_the_agent_speaks_loses_no_word(
    open_tab: OpenTab, http: Client, stand_in: OfflineServer
) -> None:
    session = http.new_session()
    tab = open_tab(f"#/session/{session}")
    tab.say("[say one two three four five six] [hold 3]")
    tab.wait_for_text(".message.assistant", "one two")
    tab.click(".head .menu summary")
    tab.click_button("Rename…", within=".head .menu")
    tab.shown("dialog input").send_keys("A name" + Keys.ENTER)
    tab.wait_for_text(".head h1", "A name")
    stand_in.release()
    tab.wait_for_text(".message.assistant", "one two three four five six")
    tab.wait_for_text(".head h1", "A name")
