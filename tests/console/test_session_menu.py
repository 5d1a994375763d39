"""What can be done with a session as a whole, who the user is, and how he stays or goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest
from selenium.webdriver.common.keys import Keys

from anthropic_standin.standin_server import OfflineServer
from tests.conftest import AGENTS
from tests.console.browser import Tab
from tests.console.conftest import OpenTab
from tests.harness.process import BatonProcess, eventually
from tests.harness.wire import Client

ANNA: Final = "annas-token-0123456789"
EYE: Final = "eyes-token-0123456789"

SAVED: Final = """
window.saved = [];
URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return 'data:,'; };
HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
"""
"""What is saved can be read, and no file is written."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, stand_in: OfflineServer) -> Iterator[BatonProcess]:
    directory = tmp_path_factory.mktemp("names")
    settings = {"BATON_AUTH_TOKENS": f"anna:{ANNA},eye/readonly:{EYE}", "BATON_TOKEN_BUDGET": "5"}
    with BatonProcess(directory, model_url=stand_in.url, agents=AGENTS, settings=settings) as process:
        yield process


@pytest.fixture
def anna(guarded: BatonProcess) -> Iterator[Client]:
    client = Client(guarded.url, token=ANNA)
    yield client
    client.close()


def open_menu(tab: Tab, entry: str) -> None:
    tab.click(".head details summary")
    tab.click_button(entry, within=".menu-items")


def saved(tab: Tab, entry: str) -> str:
    tab.script(SAVED)
    open_menu(tab, entry)
    return str(eventually(lambda: tab.script("return window.saved[0]"), f"{entry} has saved something"))


def test_a_session_is_named_shared_taken_along_and_deleted(open_tab: OpenTab, http: Client) -> None:
    session = http.new_session()
    http.post(
        f"/api/sessions/{session}/agent/plain?stream=false", [{"content": "a ```fence``` [say Well said.]"}]
    )
    tab = open_tab(f"#/session/{session}")
    tab.wait_for_text(".message.assistant", "Well said.")
    tab.wait_for_text(".head .chip", "Free")
    open_menu(tab, "Rename…")
    tab.shown("#asked").send_keys(Keys.CONTROL + "a")
    tab.shown("#asked").send_keys("The harbour" + Keys.ENTER)
    tab.wait_for_text(".head h1", "The harbour")
    tab.wait_for_text(".sessions [aria-current] .name", "The harbour")
    open_menu(tab, "Link…")
    assert tab.script("return document.querySelector('#address').value") == tab.script("return location.href")
    tab.wait_for_text("dialog", "everybody who reaches this server")
    tab.click_button("Copy", within="dialog")
    tab.wait_for_text("dialog [role=status]", "op")  # "Copied", or "copy it"
    tab.click_button("Close", within="dialog")
    exported = json.loads(saved(tab, "Export as JSON"))
    assert exported["messages"] == http.get(f"/api/sessions/{session}").json()["messages"]
    assert tab.script("return window.savedAs") == "The-harbour.json"
    markdown = saved(tab, "Export as Markdown")
    assert markdown.startswith("# The harbour\n")
    assert "Well said." in markdown
    open_menu(tab, "Delete…")
    tab.click_button("Cancel", within="dialog")
    assert http.get(f"/api/sessions/{session}").status_code == 200
    open_menu(tab, "Delete…")
    tab.click_button("Delete", within="dialog")
    tab.wait_until_gone(".head")
    eventually(
        lambda: session not in tab.script("return document.querySelector('.sessions').innerHTML"),
        "it is gone",
    )
    assert http.get(f"/api/sessions/{session}").status_code == 404


def test_who_stays_signed_in_is_so_in_all_tabs_until_he_signs_out_of_all(
    open_tab: OpenTab, guarded: BatonProcess
) -> None:
    tab = open_tab(url=guarded.url)
    tab.shown("#token").send_keys(ANNA)
    assert not tab.shown("#stays").is_selected(), "only by choice"
    tab.click("label[for=stays]")
    tab.shown("#token").send_keys(Keys.ENTER)
    tab.wait_for_text(".account", "anna")
    other = open_tab(url=guarded.url)
    other.wait_for_text(".account", "anna")
    other.click(".account")
    other.wait_for_text("dialog .facts", "$5.00 of $5.00 left")
    other.wait_for_text("dialog .facts", "user: sees its own sessions")
    other.click_button("Sign out", within="dialog")
    other.shown("#token")
    tab.shown("#token")
    assert tab.script(
        "return [localStorage.getItem('baton.token'), sessionStorage.getItem('baton.token')]"
    ) == [None, None]


def test_a_token_for_this_tab_stays_in_it(open_tab: OpenTab, guarded: BatonProcess) -> None:
    tab = open_tab(url=guarded.url)
    tab.shown("#token").send_keys(ANNA + Keys.ENTER)
    tab.wait_for_text(".account", "anna")
    open_tab(url=guarded.url).shown("#token")
    assert tab.script("return localStorage.getItem('baton.token')") is None


def test_a_token_that_is_not_known_any_more_says_so(open_tab: OpenTab, guarded: BatonProcess) -> None:
    tab = open_tab(url=guarded.url)
    tab.shown("#token")
    tab.script("localStorage.setItem('baton.token', 'a-token-of-yesterday-0123'); location.reload()")
    tab.wait_for_text("dialog", "does not know this token")


def test_an_onlooker_may_take_along_and_change_nothing(
    open_tab: OpenTab, guarded: BatonProcess, anna: Client
) -> None:
    session = anna.new_session()
    anna.post(f"/api/sessions/{session}/agent/plain?stream=false", [{"content": "[say Seen.]"}])
    tab = open_tab(f"#/session/{session}", url=guarded.url)
    tab.shown("#token").send_keys(EYE + Keys.ENTER)
    tab.wait_for_text(".message.assistant", "Seen.")
    tab.wait_for_text(".sessions .meta", "anna")
    tab.click(".head details summary")
    entries = "[...document.querySelectorAll('.menu-items button')].filter((one) => one.checkVisibility())"
    shown = tab.script(f"return {entries}.map((one) => one.textContent)")
    assert shown == ["Link…", "Export as JSON", "Export as Markdown"]
    assert "Seen." in saved_with_open_menu(tab)


def saved_with_open_menu(tab: Tab) -> str:
    tab.script(SAVED)
    tab.click_button("Export as Markdown", within=".menu-items")
    return str(eventually(lambda: tab.script("return window.saved[0]"), "it was saved"))


NOTICES: Final = """
window.notices = [];
window.Notification = class {
  static permission = 'default';
  static async requestPermission() { return (this.permission = 'granted'); }
  constructor(title, more) { Object.assign(this, more, { title }); window.notices.push(this); }
  close() {}
};
"""


ASKED: Final = """
const [see, done] = [arguments[0], arguments[1]];
Object.defineProperty(document, 'hidden', { get: () => !see, configurable: true });
const sessions = [{ id: 's', title: 'Night shift' }];
window.overview ??= Object.assign(new EventTarget(), { sessions, runs: new Map() });
const asks = (id) => ({ id, session_id: 's', agent: 'tools/root', status: 'awaiting_approval',
  waiting_for: { kind: 'approval', call_id: `call-${id}`, tool: 'shell', arguments: { cmd: 'echo s3cret' } } });
import('./console/notices.js').then(({ Notices }) => {
  window.followed ??= new Notices(window.overview);
  if (!window.followed.told) window.overview.dispatchEvent(new Event('change'));
  window.overview.runs = new Map([['s', asks(crypto.randomUUID())]]);
  window.overview.dispatchEvent(new Event('change'));
  window.overview.dispatchEvent(new Event('change'));
  done(JSON.stringify(window.notices));
});
"""
"""Somebody is asked while the page is seen or not; what the user is told by then."""


def asked(tab: Tab, *, seen: bool) -> list[dict[str, str]]:
    notices: list[dict[str, str]] = json.loads(tab.see().execute_async_script(ASKED, seen))
    return notices


def test_a_notice_says_who_waits_while_the_page_is_not_seen_and_nothing_of_what(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.wait_for_text(".account", "You")
    tab.script(NOTICES)
    assert asked(tab, seen=False) == [], "nobody wanted any"
    tab.click(".account")
    tab.click_button("Notify me when I am waited for", within="dialog")
    tab.wait_for_text("dialog", "While this page is open and not seen.")
    tab.click_button("Close", within="dialog")
    assert asked(tab, seen=True) == []
    (notice,) = asked(tab, seen=False)
    assert (notice["title"], notice["body"]) == ("Night shift", "tools needs your approval")
    assert "s3cret" not in json.dumps(notice)
    tab.script("window.notices[0].onclick()")
    assert tab.session_id == "s"
