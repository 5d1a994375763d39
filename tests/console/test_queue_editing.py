"""A message that waits is changed at its place, as long as no run has taken it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.gate import Gate
from tests.harness.process import BatonProcess
from tests.harness.wire import Client

PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def session(http: Client) -> str:
    return http.new_session(tools_approved=True)


@pytest.fixture
def gate(shared_baton: BatonProcess) -> Iterator[Gate]:
    gate = Gate(shared_baton.directory, "queued")
    yield gate
    gate.close()


def busy(open_tab: OpenTab, session: str, gate: Gate) -> Tab:
    tab = open_tab(f"#/session/{session}")
    tab.shown("select.agent").send_keys("tools")
    tab.say(f"{gate.call} [then] [say first thing]")
    gate.wait_until_reached()
    return tab


def edit(tab: Tab, text: str) -> None:
    button = tab.shown(f"button[aria-label='Edit “{text}”']")
    tab.script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    tab.shown(".waiting-edit textarea")


def test_a_waiting_message_is_changed_and_keeps_its_picture(
    open_tab: OpenTab, session: str, http: Client, gate: Gate
) -> None:
    tab = busy(open_tab, session, gate)
    parts = [{"type": "text", "text": "[say old]"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    assert http.post(f"/api/sessions/{session}/followup", [{"multi_content": parts}]).status_code == 202
    tab.wait_for_text(".queue li", "with a picture")
    edit(tab, "[say old]")
    field = tab.see().switch_to.active_element
    field.clear()
    field.send_keys("never mind" + Keys.ESCAPE)
    tab.wait_for_text(".queue .waiting-text", "[say old]")
    edit(tab, "[say old]")
    field = tab.see().switch_to.active_element
    field.clear()
    field.send_keys("[say new]")
    # another message comes meanwhile: what is being written stays, and so does the focus
    assert http.post(f"/api/sessions/{session}/steer", [{"content": "[say steered]"}]).status_code == 202
    tab.wait_for_text(".queue", "[say steered]")
    assert tab.see().switch_to.active_element.get_attribute("value") == "[say new]"
    tab.see().switch_to.active_element.send_keys(Keys.ENTER)
    tab.wait_for_text(".queue .waiting-text", "[say new]")
    waiting = http.get(f"/api/sessions/{session}/queue").json()["messages"]
    [changed] = [one for one in waiting if one["kind"] == "followup"]
    assert changed["content"] == "[say new]"
    assert [part["type"] for part in changed["multi_content"]] == ["text", "image_url"]
    gate.open()
    tab.wait_for_text(".message.assistant", "new")


def test_a_message_that_was_taken_meanwhile_gives_back_what_was_written(
    open_tab: OpenTab, session: str, gate: Gate
) -> None:
    tab = busy(open_tab, session, gate)
    tab.say("[say waited]")
    edit(tab, "[say waited]")
    tab.see().switch_to.active_element.send_keys(" and more")
    gate.open()
    tab.wait_for_text(".message.assistant", "waited")
    tab.wait_for_text(".composer .problem", "Too late")
    assert tab.shown("#composer").get_attribute("value") == "[say waited] and more"
    tab.wait_until_gone(".queue")
