"""What an agent offers to a person: its welcome message, its commands, and models to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from anthropic_standin.standin_server import OfflineServer
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

GUIDE: Final = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    welcome_message: Ask me about **anything**.
    commands:
      tour: "[say this is the tour]"
      review: {description: Looks at a change, instruction: "[say reviewed]"}
      retire: {description: Says goodbye, instruction: "[say goodbye]", agent: other}
  other: {model: anthropic/claude-haiku-4-5, description: d}
"""
IN_SIGHT: Final = """
const { x, y, width, height } = arguments[0].getBoundingClientRect();
return arguments[0].contains(document.elementFromPoint(x + width / 2, y + height / 2));
"""
QUIET: Final = """
agents:
  root:
    model: anthropic/claude-haiku-4-5
    skills: [{name: tidy, description: Tidies up, instructions: Tidy up.}]
    toolsets: [{type: filesystem}]
"""
TOKENS: Final = {"BATON_AUTH_TOKENS": "ann:0123456789abcdef,eye/readonly:fedcba9876543210"}


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("guide")
    agents = directory / "agents"
    agents.mkdir()
    (agents / "guide.yaml").write_text(GUIDE)
    (agents / "quiet.yaml").write_text(QUIET)
    with BatonProcess(directory, model_url=stand_in.url, agents=agents, settings=TOKENS) as process:
        yield process


@pytest.fixture
def api(guide: BatonProcess) -> Iterator[Client]:
    client = Client(guide.url, token="0123456789abcdef")
    yield client
    client.close()


def page(open_tab: OpenTab, guide: BatonProcess, address: str, token: str = "0123456789abcdef") -> Tab:
    tab = open_tab("console/icon.svg", url=guide.url)
    tab.script("sessionStorage.setItem('baton.token', arguments[0])", token)
    tab.see().get(f"{guide.url}/{address}")
    return tab


def offered(tab: Tab) -> list[str]:
    return [] if not tab.count(".commands:not([hidden])") else tab.text(".commands .name").split("\n")


def selected(tab: Tab) -> str:
    return str(
        tab.script(
            "return document.getElementById(document.querySelector('#composer')"
            ".getAttribute('aria-activedescendant'))?.querySelector('.name').textContent ?? ''"
        )
    )


def wait_for_offer(tab: Tab, *names: str) -> None:
    eventually(lambda: offered(tab) == list(names), f"{names} are offered, and not {offered(tab)}")


def test_an_agent_welcomes_and_offers_its_commands_by_the_keyboard(
    open_tab: OpenTab, guide: BatonProcess, stand_in: OfflineServer
) -> None:
    tab = page(open_tab, guide, "#/new")
    tab.wait_for_text(".greeting strong", "anything")
    Select(tab.shown("select.agent")).select_by_value("quiet")
    tab.wait_until_gone(".greeting")
    tab.write("/")
    eventually(lambda: tab.count(".commands[hidden]") == 1, "an agent without commands offers none")
    tab.shown("#composer").clear()
    Select(tab.shown("select.agent")).select_by_value("guide")
    tab.write("/")
    wait_for_offer(tab, "/tour", "/review", "/retire")
    tab.wait_for_text(".commands .says", "Looks at a change")
    tab.write("r")
    wait_for_offer(tab, "/review", "/retire", "/tour")
    assert selected(tab) == "/review"
    tab.write(Keys.ARROW_DOWN + Keys.ARROW_DOWN + Keys.ARROW_DOWN + Keys.ARROW_UP)
    assert selected(tab) == "/tour"
    tab.write(Keys.ESCAPE)
    assert offered(tab) == []
    tab.write("e")
    wait_for_offer(tab, "/review", "/retire")
    tab.write(Keys.TAB)
    field = tab.shown("#composer")
    assert field.get_attribute("value") == "[say reviewed]"
    assert tab.script("return document.activeElement.id") == "composer"
    field.send_keys(Keys.ENTER)
    tab.wait_for_text(".message.assistant", "reviewed")
    tab.write("/ret")
    wait_for_offer(tab, "/retire")
    assert tab.script(IN_SIGHT, tab.shown(".commands li"))
    tab.write(Keys.ENTER)
    assert field_value(tab) == "[say goodbye]"
    tab.write(Keys.ENTER)
    tab.wait_for_text(".message.assistant", "goodbye")
    assert stand_in.requests[-1]["model"] == "claude-haiku-4-5"  # the command names another agent


def field_value(tab: Tab) -> str:
    return str(tab.shown("#composer").get_attribute("value"))


def test_the_head_shows_the_model_and_its_window_and_chooses_others(
    open_tab: OpenTab, guide: BatonProcess, api: Client, stand_in: OfflineServer
) -> None:
    session = api.new_session()
    tab = page(open_tab, guide, f"#/session/{session}")
    tab.shown('.session[data-connection="live"]')
    assert not tab.script("return document.querySelector('.head .model').checkVisibility()")
    api.say(session, "[say one]", agent="quiet")
    tab.wait_for_text(".head .model", "claude-haiku-4-5")
    assert " of 200,000 tokens of its window" in str(tab.shown(".head .model").get_attribute("title"))
    tab.shown(".head .model").send_keys(Keys.ENTER)
    tab.wait_for_text("dialog caption", "of 200k tokens")
    Select(tab.shown("#session-model")).select_by_value("anthropic/claude-opus-5-5")
    tab.click_button("Use it", within="dialog")
    tab.wait_until_gone("dialog")
    tab.wait_for_text(".head .model", "claude-opus-5-5")
    tab.shown(".head .model").click()
    levels = Select(tab.shown("#thinking-level"))
    levels.select_by_value("high")
    tab.click_button("Use it", within="dialog")
    tab.wait_until_gone("dialog")
    assert api.get(f"/api/sessions/{session}/thinking-level").json()["current"] == "high"
    tab.say("[say two]")
    tab.wait_for_text(".message.assistant", "two")
    asked: dict[str, Any] = stand_in.requests[-1]
    assert asked["model"] == "claude-opus-5-5"


def test_a_new_session_begins_with_the_model_that_is_chosen(
    open_tab: OpenTab, guide: BatonProcess, stand_in: OfflineServer
) -> None:
    tab = page(open_tab, guide, "#/new")
    tab.click(".options summary")
    Select(tab.shown("#model")).select_by_value("anthropic/claude-opus-5-5")
    tab.say("[say begun]")
    tab.wait_for_text(".message.assistant", "begun")
    assert stand_in.requests[-1]["model"] == "claude-opus-5-5"


def test_a_readonly_token_sees_the_model_and_no_acting_buttons(
    open_tab: OpenTab, guide: BatonProcess, api: Client
) -> None:
    session = api.new_session()
    api.say(session, "[say one]", agent="quiet")
    tab = page(open_tab, guide, f"#/session/{session}", "fedcba9876543210")
    tab.wait_for_text(".message.assistant", "one")
    assert tab.count(".acts, .attach, #composer") == 0
    tab.shown(".head .model").click()
    tab.wait_for_text("dialog caption", "The window")
    assert tab.count("dialog select") == 0
    tab.click_button("Close", within="dialog")
    tab.wait_until_gone("dialog")


def test_skills_of_the_agent_are_offered_in_its_session(
    open_tab: OpenTab, guide: BatonProcess, api: Client
) -> None:
    session = api.new_session()
    api.say(session, "[say one]", agent="quiet")
    tab = page(open_tab, guide, f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "one")
    tab.write("/ti")
    wait_for_offer(tab, "/tidy")
    tab.wait_for_text(".commands li", "Tidies up")
    tab.write(Keys.ENTER)
    assert field_value(tab) == "Use the skill “tidy”: "
