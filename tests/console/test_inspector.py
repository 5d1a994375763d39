"""A run from inside, in the console: steps, costs, requests and raw events, also of long runs and on a phone."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from tests.console.conftest import OpenTab
from tests.harness.wire import Client

ECHO = '[say I look.][call shell {"cmd": "echo one"}]'


def ran(http: Client, script: str) -> tuple[str, str]:
    """A session, and its run, which has ended."""
    session = http.new_session(tools_approved=True)
    http.say(session, script, agent="tools")
    [run] = http.get(f"/api/runs?session={session}").json()
    return session, str(run["id"])


def test_the_steps_of_a_run_are_seen_by_keyboard_alone(open_tab: OpenTab, http: Client) -> None:
    session, run = ran(http, f"{ECHO}[then][say done]")
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "done")
    tab.press("i")
    tab.wait_for_text(".inspector .totals", "Model calls2 in")
    assert tab.script("return location.hash") == f"#/run/{run}"
    steps = "return [...document.querySelectorAll('.step:not(.event) .name')].map((one) => one.textContent)"
    assert tab.script(steps) == ["claude-sonnet-5-5", "shell", "claude-sonnet-5-5"]
    tab.script("document.querySelector('.step summary').focus()")
    tab.see().switch_to.active_element.send_keys(Keys.END)
    last = tab.see().switch_to.active_element
    last.send_keys(Keys.ENTER)
    tab.wait_for_text(".step[open] .facts", "First piece after")
    tab.wait_for_text(".step[open] .facts", "said its last word")
    tab.click_button("Show the request")
    tab.wait_for_text(".step[open] .output", '"model": "claude-sonnet-5-5"')
    tab.wait_for_text(".step[open] .hint", "Made again from what is stored")


def test_raw_events_are_shown_in_pages(open_tab: OpenTab, http: Client) -> None:
    words = " ".join(map(str, range(220)))
    _, run = ran(http, f"[say {words}]")
    tab = open_tab(f"#/run/{run}")
    tab.click_button("Raw events")
    tab.wait_for_text(".raw", "stream_started")
    assert tab.count(".raw > li") == 200
    tab.click_button("Show more")
    tab.wait_for_text(".raw", "stream_stopped")
    tab.click(".raw summary")
    tab.wait_for_text(".raw .output", '"type"')


def test_a_long_run_fits_a_phone(open_tab: OpenTab, http: Client) -> None:
    calls = "".join(f'[call think {{"thought": "{number}"}}]' for number in range(300))
    _, run = ran(http, f"{calls}[then][say done]")
    tab = open_tab()
    tab.see().set_window_size(390, 844)
    try:
        tab.script("location.hash = arguments[0]", f"#/run/{run}")
        tab.wait_for_text(".inspector .totals", "Tool calls300 in")
        assert tab.count(".step.tool") == 300
        assert tab.script("return document.documentElement.scrollWidth <= innerWidth")
        wide = (
            "const one = document.querySelector('.inspector .page'); return one.scrollWidth - one.clientWidth"
        )
        assert tab.script(wide) <= 0
    finally:
        tab.see().set_window_size(1200, 800)


def test_a_run_that_is_not_there_says_so(open_tab: OpenTab) -> None:
    tab = open_tab("#/run/nothing")
    tab.wait_for_text(".inspector .problem", "run not found")
